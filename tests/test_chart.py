"""A chart shows as an image whose words say what it shows."""

import base64

import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt

from mpdemos.chart import Chart


def test_a_chart_has_words_and_shows_once():
    figure, axes = plt.subplots(figsize=(2, 1))
    axes.bar([1, 2], [3, 4])
    chart = Chart(figure, 'Two bars, one "higher"')
    shown = chart._repr_mimebundle_()
    assert str(chart) == shown["text/plain"] == 'Two bars, one "higher"'
    assert 'alt="Two bars, one &quot;higher&quot;"' in shown["text/html"]
    image = shown["text/html"].partition("base64,")[2].partition('"')[0]
    assert base64.b64decode(image).startswith(b"\x89PNG")
    assert not plt.fignum_exists(figure.number)
