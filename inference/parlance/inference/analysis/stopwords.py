"""English words without a topic: function words, what every call has, numbers read out."""

ENGLISH = frozenset(
    """
    a about above after again against all almost along already also although always am among an
    and another any anybody anyone anything anyway are aren't around as at away back be became
    because been before behind being below between both but by came can can't cannot come comes
    coming could couldn't did didn't do does doesn't doing don't done down during each either else
    enough even ever every everybody everyone everything few for from get gets getting gets give
    gives given go goes going gone got gotten had hadn't has hasn't have haven't having he he'd
    he'll he's her here here's hers herself him himself his how how's however i i'd i'll i'm i've
    if in instead into is isn't it it'd it'll it's its itself just keep kept know knows known
    least less let let's like made make makes making many may maybe me might mine more most much
    must my myself near need needs neither never next no nobody none nor not nothing now of off
    often on once one ones only onto or other others our ours ourselves out over own part per
    perhaps please put quite rather really said same say says see seem seems seen several shall
    she she'd she'll she's should shouldn't since so some somebody someone something sometimes
    somewhere soon still such take taken takes taking tell than that that'd that'll that's the
    their theirs them themselves then there there's these they they'd they'll they're they've
    thing things think this those though through till to together too took toward tried try trying
    two under until up upon us use used using very want wanted wants was wasn't way we we'd we'll
    we're we've well went were weren't what what's whatever when where where's whether which while
    who who's whole whom whose why will with within without won't would wouldn't yes yet you you'd
    you'll you're you've your yours yourself yourselves

    able ah alright actually afternoon appreciate basically bit bye bye-bye call called calling
    calls cool correct course day doing eh er evening exactly fine first gonna good goodbye gotcha
    gotta great guess hang happy hello help hey hi hmm hold huh kind kinda last little long look
    looking lot lots ma'am mean mhm mm mm-hmm morning mr mrs ms new nice oh ok okay perfect pretty
    probably problem right sec second sir sorry sort speak speaking stuff sure talk talking thank
    thanks time today tomorrow uh uh-huh um wait wanna welcome wonderful yeah yep yesterday yup

    zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen
    sixteen seventeen eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety
    hundred thousand million double triple dot dash
    """.split()  # noqa: SIM905  (a list literal of 400 words would be harder to read)
)
