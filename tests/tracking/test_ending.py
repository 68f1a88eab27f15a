from __future__ import annotations

import json

from lit_lossopt.core import names
from lit_lossopt.core.names import Verdict
from lit_lossopt.tracking.ending import Ending
from lit_lossopt.tracking.past import tags_of_ending


def test_a_run_that_goes_on_takes_back_all_that_its_end_has_said() -> None:
    ending = Ending(
        description="`lossopt fit`", findings=(("dead ReLUs", "half is dead"), ("lost digits", "none moves"))
    )
    ending.set(Verdict.COLLAPSED, "one class only", 7)
    tags, _ = ending.entries(0)
    assert json.loads(tags["tags"][names.TAG_FINDINGS])[1] == ["lost digits", "none moves"]
    assert tags["tags"][names.TAG_DESCRIPTION].endswith("**collapsed**: one class only\n\n- half is dead\n- none moves")
    description, back = tags_of_ending([tags])
    assert description == "`lossopt fit`"
    assert back == {
        names.TAG_EVIDENCE: "", names.TAG_FINDINGS: "", names.TAG_LAST_GOOD_STEP: "",
        names.TAG_DESCRIPTION: "`lossopt fit`",
    }  # fmt: skip


def test_a_run_that_found_nothing_says_so_and_one_that_did_not_look_says_nothing() -> None:
    looked, _ = Ending(findings=()).entries(0)
    assert looked["tags"] == {names.TAG_VERDICT: Verdict.COMPLETED, names.TAG_FINDINGS: "[]"}
    ignorant, _ = Ending().entries(0)
    assert ignorant["tags"] == {names.TAG_VERDICT: Verdict.COMPLETED}
