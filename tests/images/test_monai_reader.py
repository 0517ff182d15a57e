from medseg_monai.images import photos as readers
from medseg_monai.images.monai_reader import PhotoReader


def test_reader_suffixes():
    assert PhotoReader().verify_suffix("a/B.JPEG")
    assert PhotoReader().verify_suffix(["a.png", "b.tif"])
    assert not PhotoReader().verify_suffix(["a.png", "b.nii.gz"])
    assert all(suffix == suffix.lower() for suffix in readers.SUFFIXES)
