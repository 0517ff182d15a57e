import numpy as np

from medseg_monai.prepare.abdomen import Patient, draw_abdomen


def test_organs_overlap_and_some_slices_lack_one():
    masks = []
    for who in range(4):
        patient = Patient.draw(np.random.default_rng(who))
        masks += [draw_abdomen(patient, level, (96, 96))[1] for level in (0.1, 0.4, 0.9)]
    shares = np.array([mask.mean(axis=(1, 2)) for mask in masks])
    assert sum((mask.sum(axis=0) > 1).any() for mask in masks) >= 8
    assert (shares[2::3, 0] == 0).all()  # no stomach low down
    assert (shares[1::3] > 0).all()  # all three in the middle
    assert shares.max() < 0.3


def test_scans_differ_in_scale_slices_of_one_do_not():
    patients = [Patient.draw(np.random.default_rng(who)) for who in range(12)]
    brightest = [patient.brightest for patient in patients]
    assert min(brightest) < 2000 < 5000 < max(brightest)
    one, two = (draw_abdomen(patients[0], level, (96, 96))[0] for level in (0.2, 0.8))
    assert 0.6 < np.percentile(one, 99) / np.percentile(two, 99) < 1.6
