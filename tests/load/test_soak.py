from serving import Usage

from tests.load.soak import GROWTH, grown

STEADY = [Usage(500_000_000 + 10_000_000 * (number % 3), 30, 40 + number % 2, 3) for number in range(20)]


def test_what_goes_up_and_down_has_not_grown():
    assert grown(STEADY) == []


def test_what_is_taken_before_it_is_warm_does_not_count():
    assert grown([Usage(100_000_000, 20, 30, 2)] * 6 + STEADY[:10]) == []


def test_what_goes_up_and_up_is_named():
    for what, step in {"memory": GROWTH // 4, "descriptors": 1, "threads": 1, "processes": 1}.items():
        usage = vars(STEADY[0])
        found = grown([Usage(**usage | {what: usage[what] + step * number}) for number in range(20)])
        assert [one.partition(":")[0] for one in found] == [what]
