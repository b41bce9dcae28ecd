import pytest

from tflm.scoring_settings import ScoringSettings


def test_carried_needs_no_sizes():
    settings = ScoringSettings()
    assert settings.resolved(128) == settings
    assert settings.to_dict() == {"history": "carried", "documents": "separate"}


@pytest.mark.parametrize(
    ("given", "window", "stride"),
    [
        ({"history": "none"}, 128, None),
        ({"history": "none", "window": 7}, 7, None),
        ({"history": "sliding"}, 128, 64),
        ({"history": "sliding", "window": 7}, 7, 3),
        ({"history": "sliding", "window": 1}, 1, 1),
        ({"history": "sliding", "stride": 10}, 128, 10),
    ],
)
def test_sizes_that_are_not_set_follow_from_the_model(given, window, stride):
    settings = ScoringSettings(**given).resolved(128)
    assert (settings.window, settings.stride) == (window, stride)
    sizes = {"window": window} | ({"stride": stride} if stride else {})
    assert settings.to_dict() == {
        "history": given["history"],
        "documents": "separate",
        **sizes,
    }


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"history": "carred"}, "unknown history 'carred': did you mean 'carr"),
        ({"documents": "join"}, "unknown documents 'join': did you mean 'joi"),
        ({"history": "none", "window": 0}, "`window` must be at least 1"),
        ({"history": "sliding", "stride": 0}, "`stride` must be at least 1"),
        (
            {"window": 5},
            "`window` needs `history` to be none or sliding. "
            "Received: window=5, history=carried",
        ),
        (
            {"history": "none", "stride": 5},
            "`stride` needs `history` to be sliding. "
            "Received: stride=5, history=none",
        ),
        (
            {"history": "sliding", "window": 4, "stride": 5},
            "`stride` must be at most `window`, or targets are left out. "
            "Received: stride=5, window=4",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(given, message):
    with pytest.raises(ValueError, match=message):
        ScoringSettings(**given)


def test_stride_longer_than_the_models_window_is_refused():
    settings = ScoringSettings(history="sliding", stride=200)
    with pytest.raises(ValueError, match="Received: stride=200, window=128"):
        settings.resolved(128)
