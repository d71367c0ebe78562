"""Finding personal data in one text by rules. Pure; used by `analyzers.pii`.

candidates    a stretch of a text and its type; which one stays where several overlap
emails        addresses of mail
numbers       cards and IBANs, by their check digits
phones        what phonenumbers takes for valid
networks      IP addresses
births        dates beside a word for birth

Texts are written by strangers: every search is linear in the length of the text.
"""
