"""Caches of the cluster: informers of our kinds and of our Pods, with indexes over them.

caches.py          informers of all kinds, and indexes
listeners.py       subscribers to changes of the caches
scopes.py          one namespace, or all of them, with its watches
watches.py         the watches of one kind in one scope
object_watches.py  shared watches of single objects
resources.py       our kinds, and the fields that informers cache
observation.py     a Pod's state as a report on a try
runtime_errors.py  short messages of container runtimes
finished_runs.py   finished runs, which are not watched
"""
