from pathlib import Path

import pytest

from models import checkpoints
from models.catalog import SHIPPED, Catalog, UnknownModel
from models.checkpoints import Description
from models.unet import UNet, UNetConfig


@pytest.fixture
def versions(tmp_path: Path) -> Path:
    network = UNet(UNetConfig(widths=(8,), blocks=1))
    for version in ("1", "2", "10"):
        described = Description("mine", version, "photo", "unet", ("denoise",), {"widths": [8], "blocks": 1})
        checkpoints.save(tmp_path / f"mine@{version}", described, network.state_dict())
    return tmp_path


def test_a_name_alone_means_the_latest_version(versions: Path):
    catalog = Catalog.of(versions)
    assert catalog.titles == ["mine@1", "mine@10", "mine@2"]
    assert catalog.find("mine").description.version == "10"
    assert catalog.find("mine@2").description.version == "2"
    assert catalog.next_version("mine") == "11"
    assert catalog.next_version("other") == "1"


@pytest.mark.parametrize("name", ["nobody", "", "../mine@1", "mine@3", "mine\x00", "m" * 10_000])
def test_names_are_looked_up_and_never_made_a_path(versions: Path, name: str):
    with pytest.raises(UnknownModel) as caught:
        Catalog.of(versions).find(name)
    assert caught.value.known == ["mine@1", "mine@10", "mine@2"]
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("name", ["mines", "mine@3", "Mine@1"])
def test_the_name_that_may_have_been_meant_is_told(versions: Path, name: str):
    with pytest.raises(UnknownModel, match=r"did you mean mine\? There are: mine@1, mine@10, mine@2"):
        Catalog.of(versions).find(name)


def test_no_name_is_told_where_none_is_like_it(versions: Path):
    with pytest.raises(UnknownModel, match="'photo'; there are: mine@1"):
        Catalog.of(versions).find("photo")


def test_a_shelf_that_is_not_there_is_empty(tmp_path: Path):
    assert Catalog.of(tmp_path / "missing").titles == []


def test_a_later_shelf_wins(versions: Path, tmp_path_factory: pytest.TempPathFactory):
    other = tmp_path_factory.mktemp("other")
    (versions / "mine@2").rename(other / "anything")
    assert Catalog.of(versions, other).find("mine@2").folder == other / "anything"


def test_everything_that_ships_can_be_loaded():
    catalog = Catalog.of(SHIPPED)
    assert {"photo", "digits-denoise", "digits-vae"} <= {e.description.name for e in catalog.entries.values()}
    for entry in catalog.entries.values():
        checkpoints.load(entry.folder)
        assert (entry.folder / checkpoints.CARD).exists()
        assert checkpoints.metrics(entry.folder)["sets"]


def test_what_ships_stays_small():
    assert sum(path.stat().st_size for path in SHIPPED.rglob("*.safetensors")) < 60 * 2**20
