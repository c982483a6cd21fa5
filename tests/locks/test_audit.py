"""What is not looked at is never called sound."""

from locks.audit import HERE, LOCKS, pinned, told

SOUND = {"name": "numpy", "version": "2.0", "vulns": []}
BAD = {"name": "pillow", "version": "9.0", "vulns": [{"id": "PYSEC-2023-1"}, {"id": "PYSEC-2023-2"}]}
SKIPPED = {"name": "torch", "skip_reason": "not found"}


def test_a_known_vulnerability_fails_by_name():
    text, code = told([SOUND, BAD], [])
    assert code == 1
    assert "pillow 9.0: PYSEC-2023-1" in text
    assert "pillow 9.0: PYSEC-2023-2" in text


def test_what_is_sound_passes_and_what_was_not_looked_at_is_named():
    text, code = told([SOUND, SKIPPED], [])
    assert (code, "torch" in text, "SKIPPED" in text) == (0, True, False)


def test_where_nothing_can_be_reached_it_says_so():
    for report in ([], [SKIPPED, SKIPPED]):
        text, code = told(report, ["a==1", "b==2"])
        assert (code, text.startswith("SKIPPED"), "2 packages" in text) == (0, True, True)


def test_the_pins_are_those_of_the_locks():
    pins = pinned(*((HERE / name).read_text() for name in LOCKS))
    assert {"torch", "pillow", "starlette", "openvino"} <= {pin.partition("==")[0] for pin in pins}
    assert not any("+" in pin or "hash" in pin for pin in pins)
