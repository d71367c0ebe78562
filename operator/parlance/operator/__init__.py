"""The operator: watches CallJobs, dispatches them to workers, and says how they are.

    watch      kopf notes objects in the cache and queues their keys
    reconcile  takes keys: observe, plan, apply, at most one status patch
    planning   pure decisions: a job and what is known about it -> what to do
    follower   folds the workers' events from the bus into what is known
    ticker     re-queues what is not finished, so that nothing rests on a single event

Level-based throughout: every decision can be taken again from the object and the bus, after a
crash at any point, and by two operators at once.
"""
