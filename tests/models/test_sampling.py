import numpy as np

from models.sampling import draw_codes, grid


def test_a_code_depends_on_the_seed_and_its_number_alone():
    many = draw_codes(8, seed=7, first=0, count=20)
    assert np.array_equal(many[5:9], draw_codes(8, seed=7, first=5, count=4))
    assert not np.array_equal(many, draw_codes(8, seed=8, first=0, count=20))
    assert not np.array_equal(many[1:], draw_codes(8, seed=8, first=0, count=19))


def test_all_bits_of_a_seed_count():
    codes = [draw_codes(8, seed, 0, 4) for seed in (5, 2**32 + 5, 2**62 + 5)]
    assert len({code.tobytes() for some in codes for code in some}) == 12


def test_temperature_scales_the_same_code():
    assert np.allclose(0.5 * draw_codes(8, 3, 0, 2), draw_codes(8, 3, 0, 2, temperature=0.5))
    assert not draw_codes(8, 3, 0, 2, temperature=0.0).any()


def test_codes_are_standard_normal():
    codes = draw_codes(50, 2**63 - 1, 0, 200)
    assert abs(float(codes.mean())) < 0.05
    assert abs(float(codes.std()) - 1) < 0.05


def test_a_grid_is_about_square_and_holds_every_picture_in_order():
    pictures = np.arange(5, dtype=np.uint8)[:, None, None, None] * np.ones((1, 4, 6, 1), np.uint8)
    sheet = grid(pictures, gap=1)
    assert sheet.shape == (1 + 2 * 5, 1 + 3 * 7, 1)
    assert [int(sheet[1, 1, 0]), int(sheet[1, 8, 0]), int(sheet[6, 1, 0]), int(sheet[6, 15, 0])] == [0, 1, 3, 255]
