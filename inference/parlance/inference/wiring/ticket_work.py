"""What tickets need: the store and the analysis process, which every worker has."""

from parlance.inference.analysis.rules import RulesCache
from parlance.inference.texts.kind import TicketKind
from parlance.inference.texts.task import TextTools
from parlance.inference.wiring.work import Problems, Shared, Work
from parlance.runtime.clock import SystemClock


def build_work(shared: Shared) -> Work:
    """Nothing is opened for tickets alone."""
    worker = shared.settings.worker
    tools = TextTools(
        name=worker.worker_name,
        store=shared.store,
        fetch_rules=RulesCache(shared.store, SystemClock()).fetch,
        analyze=shared.analyst.analyze,
    )
    return Work(TicketKind(tools), worker.worker_text_slots, _find_problems)


async def _find_problems() -> Problems:
    return {}
