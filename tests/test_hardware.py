import pytest

from scaling_jax.hardware import CHIPS, chip


def test_the_catalogue_holds_what_the_issue_names():
    names = (
        "A100-40GB A100-80GB H100-SXM H100-PCIe H200 B200 L4 L40S MI300X "
        "TPU-v4 TPU-v5e TPU-v5p TPU-v6e Trainium2"
    )
    assert set(names.split()) <= set(CHIPS)


@pytest.mark.parametrize("each", CHIPS.values(), ids=CHIPS)
def test_every_entry_is_plausible_and_has_its_source(each):
    assert each.source
    assert (each.dollars_per_hour is None) == (each.price_source == "")
    assert "bf16" in each.peaks
    assert all(1e14 < peak < 2e16 for peak in each.peaks.values())
    assert 1e10 < each.memory < 1e12
    assert 1e11 < each.bandwidth < 1e13
    # No chip does bf16 faster than its 8-bit formats.
    assert each.peaks["bf16"] == min(each.peaks.values())


def test_the_paper_s_peaks():
    assert chip("A100-80GB").peak("bf16") == 3.12e14
    assert chip("a100-40gb").peak("int8") == 6.24e14
    assert chip("H100-SXM").peak("bf16") == 9.89e14


def test_an_unknown_chip_names_the_nearest():
    with pytest.raises(
        ValueError, match="no chip is called 'H100-SMX'; the nearest is H100-SXM"
    ):
        chip("H100-SMX")
    with pytest.raises(ValueError, match="known: A100-40GB, "):
        chip("????")


def test_a_missing_dtype_says_which_there_are():
    with pytest.raises(ValueError, match="A100-80GB has no fp8 peak; it has bf16, int8"):
        chip("A100-80GB").peak("fp8")


def test_a_chip_without_price_asks_for_one():
    with pytest.raises(ValueError, match="no price for L4"):
        chip("L4").price()
    assert chip("L4").price(0.7) == 0.7
