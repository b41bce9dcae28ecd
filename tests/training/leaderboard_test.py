import csv
import math

import tensorflow as tf

from tflm.training import leaderboard
from tflm.training.comparison import Comparison, Row

ROWS = (
    Row(
        name="runs/best",
        model="gru",
        tokens="characters",
        parameters=1_234_567,
        bits_per_byte=1.23456,
        interval=(1.2, 1.3),
        word_perplexity=1234.56,
        unknown_share=0.012,
        training_tokens_per_second=25_000.4,
        training_minutes=3.04,
    ),
    Row("xz", "compressor", bits_per_byte=1.9),
    Row("runs/a|b", "ngram", "words", bits_per_byte=math.inf),
)
COMPARISON = Comparison("tale, test: 1,000 bytes", ROWS)


def test_table_is_markdown():
    title, empty, head, rule, *rows = leaderboard.to_markdown(
        COMPARISON
    ).splitlines()
    assert (title, empty) == ("tale, test: 1,000 bytes", "")
    assert rule == "|" + "---|" * 10
    assert head.count("|") == 11
    best = [cell.strip() for cell in rows[0].strip("|").split("|")]
    assert best == [
        "runs/best",
        "gru",
        "characters",
        "1,234,567",
        "1.2346",
        "1.2000 to 1.3000",
        "1,234.6",
        "1.2%",
        "25,000",
        "3.0",
    ]
    assert rows[1].replace(" ", "") == "|xz|compressor|||1.9000||||||"
    assert rows[2].startswith("| runs/a\\|b | ngram | words |  | inf |")


def test_csv_has_every_digit(tmp_path):
    path = tmp_path / "rows.csv"
    leaderboard.write_csv(COMPARISON, path)
    with path.open(newline="") as file:
        best, xz, last = csv.DictReader(file)
    assert best["name"] == "runs/best"
    assert float(best["bits_per_byte"]) == 1.23456
    assert (best["interval_low"], best["interval_high"]) == ("1.2", "1.3")
    assert xz["interval_low"] == xz["parameters"] == ""
    assert last["name"] == "runs/a|b"


def test_plot_shows_each_finite_row(tmp_path):
    path = tmp_path / "rows.png"
    heights = []
    for rows in (ROWS[:1], ROWS):
        leaderboard.draw(Comparison("a long title " * 20, rows), path)
        image = tf.io.decode_png(path.read_bytes())
        heights.append(image.shape[0])
        # White, black and the colour of the points, in some number.
        blue = tf.reduce_all(image[..., :3] == [31, 119, 180], axis=-1)
        assert int(tf.reduce_sum(tf.cast(blue, tf.int32))) > 20
    assert heights == [190, 230]
