"""Validation of tasks by kind, with one validator per kind.

validator.py  the type of validators, and shared checks
pod.py        command, script, image
sensor.py     sensor
wait_for.py   waitFor
noop.py       noop
"""

from tradewind.api.validation.kinds.noop import NOOP
from tradewind.api.validation.kinds.pod import POD
from tradewind.api.validation.kinds.sensor import SENSOR
from tradewind.api.validation.kinds.validator import Validator
from tradewind.api.validation.kinds.wait_for import WAIT_FOR

VALIDATORS: dict[str, Validator] = {
    "Pod": POD,
    "Sensor": SENSOR,
    "WaitFor": WAIT_FOR,
    "Noop": NOOP,
}
"""Validators by the name of the kind in api/kinds."""

__all__ = ["VALIDATORS", "Validator"]
