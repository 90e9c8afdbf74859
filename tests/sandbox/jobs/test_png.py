import io
import random

from PIL import Image

from deploy.sandbox.jobs.png import make_noise_png, make_striped_png


def test_stripes_have_two_colours() -> None:
    content = make_striped_png(random.Random(1))
    assert len(content) < 1000
    with Image.open(io.BytesIO(content)) as image:
        image.load()
        assert len(image.getcolors() or []) == 2


def test_noise_does_not_compress() -> None:
    content = make_noise_png(random.Random(1), 100)
    with Image.open(io.BytesIO(content)) as image:
        image.load()
        assert image.size == (100, 100)
    assert len(content) > 3 * 100 * 100
