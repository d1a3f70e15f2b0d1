"""`tradewind backfill` and its commands: runs of a Dag for a span of time in the past.

backfill.py  the group of commands
create.py    `tradewind backfill create`
list.py      `tradewind backfill list`
status.py    `tradewind backfill status`
pause.py     `tradewind backfill pause`
resume.py    `tradewind backfill resume`
delete.py    `tradewind backfill delete`
progress.py  the progress of a Backfill, in lines
"""
