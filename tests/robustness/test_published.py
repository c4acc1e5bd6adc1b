"""Published sets of corrupted images from their files: what is read, what a table makes of it, and what is refused."""

import shutil

import numpy as np
import pytest
import torch
from encoders import same
from PIL import Image
from published_files import NAMES, WNIDS, channels_last, cifar_folder, crops, file_names, image_folder

import repgeom as rg
from repgeom.corruptions import corrupt
from repgeom.robustness import published
from repgeom.robustness.stored_images import StoredImages

CLEAN = crops(30, 32)
SMALL = crops(12, 64)


def pixels(x):
    """Image by image and bit by bit the same in any batch."""
    return x[:, :, ::16, ::16].flatten(1)


@pytest.fixture(scope="module")
def arrays(tmp_path_factory):
    folder = cifar_folder(tmp_path_factory.mktemp("arrays") / "CIFAR-10-C", CLEAN)
    np.save(folder / "clean.npy", channels_last(CLEAN))
    return folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return image_folder(tmp_path_factory.mktemp("folders"), SMALL)


def of_arrays(folder, **settings):
    return published("CIFAR-10-C", folder, **{"corruptions": NAMES, "n_images": 30, "clean": CLEAN} | settings)


def of_folders(folder, **settings):
    settings = {"corruptions": NAMES, "n_images": 12, "clean": folder / "clean"} | settings
    return published("Tiny-ImageNet-C", folder, **settings)


# --- what is read -----------------------------------------------------------------------------------------------------


def test_arrays_are_read_severity_by_severity(arrays):
    found = of_arrays(arrays)
    assert (len(found), found.corruptions) == (30, NAMES)
    assert found.labels.tolist() == [i % 10 for i in range(30)]
    for name in NAMES:
        for severity in range(1, 6):
            images = found.images(name, severity)
            assert images.shape == (30, 3, 32, 32)
            assert torch.equal(images[:], corrupt(CLEAN, name, severity, seed=7))
            assert torch.equal(images[7:19], corrupt(CLEAN, name, severity, seed=7)[7:19])
    assert repr(found) == "<CIFAR-10-C: 3 corruptions × 5 severities of 30 images, 32 × 32, with clean images>"


@pytest.mark.parametrize("name", ["CIFAR-100-C", "cifar-10-c"])
def test_names_of_sets(name, tmp_path):
    n_classes = 100 if "100" in name else 10
    cifar_folder(tmp_path / "x", CLEAN, ("fog",), n_classes)
    assert published(name, tmp_path / "x", corruptions="fog", n_images=30).labels.max() == min(29, n_classes - 1)


def test_arrays_are_mapped_and_never_read_whole(arrays, monkeypatch):
    found = of_arrays(arrays)
    images = found.images("contrast", 2)
    assert isinstance(images.array, np.memmap)
    read = []
    original = StoredImages.__getitem__
    monkeypatch.setattr(StoredImages, "__getitem__", lambda self, rows: read.append(rows) or original(self, rows))
    rg.robustness.corruption_robustness(pixels, "published", published=found, batch_size=7, k=3)
    largest = max(len(range(30)[rows]) for rows in read)
    assert largest <= 8  # a batch, or the few that tell one set from another


@pytest.mark.parametrize("group", ["", "noise"])
def test_folders_are_read_in_the_order_of_classes_and_files(group, tmp_path):
    image_folder(tmp_path, SMALL, ("contrast",), group)
    (tmp_path / group / "contrast" / "1" / WNIDS[0] / ".hidden.JPEG").write_text("no image")
    (tmp_path / group / "contrast" / "1" / ".DS_Store").write_text("")
    found = of_folders(tmp_path, corruptions="contrast")
    assert found.classes == WNIDS
    names = file_names(12)
    assert found.labels.tolist() == [WNIDS.index(name.split("/")[0]) for name in names]
    for severity in (1, 4):
        for row, name in enumerate(names):
            with Image.open(tmp_path / group / "contrast" / str(severity) / name) as image:
                expected = torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1)
            assert torch.equal(found.images("contrast", severity)[row : row + 1][0], expected)
    assert torch.equal(found.clean[:], SMALL)


def test_a_part_of_a_set_has_its_own_rows(arrays, folders):
    rows = [29, 3, 11]
    part = of_arrays(arrays, rows=rows)
    assert (len(part), part.labels.tolist()) == (3, [9, 3, 1])
    assert torch.equal(part.images("contrast", 5)[:], corrupt(CLEAN, "contrast", 5)[rows])
    assert torch.equal(part.clean[:], CLEAN[rows])
    whole, part = of_folders(folders), of_folders(folders, rows=np.array([2, 1]))
    assert torch.equal(part.images("contrast", 5)[:], whole.images("contrast", 5)[:][[2, 1]])
    assert part.labels.tolist() == whole.labels[[2, 1]].tolist()


CLEANS = {
    "array": lambda: channels_last(CLEAN),
    "channels first": lambda: CLEAN.numpy(),
    "tensor": lambda: CLEAN,
    "channels last in memory": lambda: CLEAN.contiguous(memory_format=torch.channels_last),
}


@pytest.mark.parametrize("clean", CLEANS.values(), ids=CLEANS)
def test_kinds_of_clean_images(clean, arrays):
    assert torch.equal(of_arrays(arrays, clean=clean()).clean[4:9], CLEAN[4:9])


def test_clean_images_of_a_file_are_mapped(arrays, folders, tmp_path):
    for path in (arrays / "clean.npy", str(arrays / "clean.npy")):
        found = of_arrays(arrays, clean=path).clean
        assert torch.equal(found[:], CLEAN)
        assert isinstance(found.array, np.memmap)
    np.save(tmp_path / "first.npy", CLEAN.numpy())
    assert torch.equal(of_arrays(arrays, clean=tmp_path / "first.npy").clean[:], CLEAN)
    np.save(tmp_path / "small.npy", channels_last(SMALL))
    assert torch.equal(of_folders(folders, clean=tmp_path / "small.npy").clean[:], SMALL)


@pytest.mark.parametrize("shape", [(300, 400), (400, 300), (256, 256), (224, 260), (500, 261)])
def test_clean_photographs_are_prepared_as_the_script_does(shape, tmp_path):
    """Shorter side to 256 by Pillow's bilinear filter, then the middle 224 × 224, as torchvision's two transforms do."""
    photograph = Image.fromarray(np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8))
    h, w = shape
    new_w, new_h = (256, int(256 * h / w)) if w <= h else (int(256 * w / h), 256)
    resized = np.asarray(photograph.resize((new_w, new_h), Image.Resampling.BILINEAR))
    top, left = round((new_h - 224) / 2.0), round((new_w - 224) / 2.0)
    expected = resized[top : top + 224, left : left + 224]
    for severity in range(1, 6):
        path = tmp_path / "brightness" / str(severity) / WNIDS[0] / "a.JPEG"
        path.parent.mkdir(parents=True)
        Image.fromarray(expected).save(path, quality=85)
    (tmp_path / "clean" / WNIDS[0]).mkdir(parents=True)
    photograph.save(tmp_path / "clean" / WNIDS[0] / "a.JPEG", format="PNG")
    found = published("ImageNet-C", tmp_path, clean=tmp_path / "clean", corruptions="brightness", n_images=1)
    assert np.array_equal(channels_last(found.clean[:])[0], expected)


# --- tables -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["arrays", "folders"])
def test_the_table_is_that_of_the_features_of_the_published_images(kind, arrays, folders, tmp_path):
    found = {"arrays": lambda: of_arrays(arrays), "folders": lambda: of_folders(folders)}[kind]()
    clean = {"arrays": CLEAN, "folders": SMALL}[kind]
    settings = {"published": found, "severities": [2, 5], "k": 3}
    table = rg.robustness.corruption_robustness(pixels, images="published", batch_size=5, **settings)
    moved = {(c, s): pixels(found.images(c, s)[:].float() / 255) for c in NAMES for s in (2, 5)}
    same(table, rg.robustness.feature_robustness(pixels(clean.float() / 255), moved, found.labels, k=3))
    assert "knn_accuracy" in set(table.measure)  # by the set's own labels
    same(table, rg.robustness.corruption_robustness(pixels, clean, **settings))
    same(table, rg.robustness.corruption_robustness(pixels, clean.float() / 255, found.labels, **settings))
    one = rg.robustness.corruption_robustness(pixels, "published", corruptions="contrast", **settings)
    same(one, table[table.corruption.isin(["clean", "contrast"])].reset_index(drop=True))
    compared = rg.robustness.compare_robustness(pixels, lambda x: pixels(x)[:, ::2], "published", **settings)
    accuracies = table[table.measure == "knn_accuracy"]["value"].tolist()
    assert compared[compared.measure == "knn_accuracy"]["first"].tolist() == accuracies


def test_frost_of_a_published_set_is_the_papers_and_scores_count_it(tmp_path):
    names = list(rg.corruptions.names())
    photographs = [crops(1, 200)[0]]
    clean = CLEAN[:16]
    folder = cifar_folder(
        tmp_path / "all", clean, names, change=lambda x, c, s: corrupt(x, c, s, seed=7, frost_images=photographs)
    )
    found = published("CIFAR-10-C", folder, clean=clean, n_images=16)
    table = rg.robustness.corruption_robustness(lambda x: x.mean((2, 3)), "published", published=found, k=3)
    assert list(dict.fromkeys(table.corruption)) == ["clean", *names]
    alexnet = rg.robustness.ALEXNET_IMAGENET_C
    score = rg.robustness.mean_corruption_error(table, alexnet, measure="knn_accuracy")
    errors = 1 - table[table.measure == "knn_accuracy"].groupby("corruption")["value"].mean()
    assert score.mce == pytest.approx(np.mean([errors[c] / e for c, e in alexnet.items() if c != "clean"]))
    mce = published("CIFAR-10-C", folder, corruptions="mCE", n_images=16)
    assert mce.corruptions == tuple(names[:15])


def test_a_run_is_taken_up_again_for_the_same_set_only(arrays, tmp_path):
    settings = {"images": "published", "k": 3, "severities": 3, "out": tmp_path / "out.csv"}
    seen = []

    def counted(x):
        seen.append(len(x))
        return pixels(x)

    first = rg.robustness.corruption_robustness(counted, published=of_arrays(arrays), **settings)
    n = len(seen)
    same(rg.robustness.corruption_robustness(counted, published=of_arrays(arrays), **settings), first)
    assert len(seen) == n + 1  # the clean images alone
    others = {
        "part": of_arrays(arrays, rows=range(4, 30)),
        "other images": of_arrays(
            cifar_folder(tmp_path / "other", CLEAN, change=lambda x, c, s: corrupt(x, c, s, seed=8))
        ),
        "fewer corruptions": of_arrays(arrays, corruptions=NAMES[:2]),
    }
    for other in others.values():
        with pytest.raises(ValueError, match="holds rows of another run"):
            rg.robustness.corruption_robustness(pixels, published=other, **settings)


# --- refused ----------------------------------------------------------------------------------------------------------


def rewritten(name, change):
    def spoil(folder):
        np.save(folder / name, change(np.load(folder / name)))

    return spoil


def cut_short(folder):
    content = (folder / "contrast.npy").read_bytes()
    (folder / "contrast.npy").write_bytes(content[:-100])


def relabelled(labels, row, label):
    labels = labels.astype(np.int64)
    labels[row] = label
    return labels


SPOILT_ARRAYS = {
    "missing": (lambda f: (f / "contrast.npy").unlink(), FileNotFoundError, r"lacks contrast.npy of CIFAR-10-C .*`corruptions=\["),
    "no labels": (lambda f: (f / "labels.npy").unlink(), FileNotFoundError, "lacks labels.npy"),
    "cut short": (cut_short, ValueError, "contrast.npy is truncated"),
    "four severities": (rewritten("contrast.npy", lambda x: x[:120]), ValueError, r"\(120, 32, 32, 3\); CIFAR-10-C has \(150, 32"),
    "one severity": (rewritten("contrast.npy", lambda x: x[:30]), ValueError, "5 severities of 30 images, one after another"),
    "floats": (rewritten("contrast.npy", lambda x: x / 255), ValueError, "contrast.npy holds float64; .* hold uint8"),
    "channels first": (rewritten("contrast.npy", lambda x: x.transpose(0, 3, 1, 2)), ValueError, r"shape \(150, 3, 32, 32\)"),
    "pickled": (rewritten("contrast.npy", lambda x: np.array([x, None], object)), ValueError, "never loaded"),
    "labels of one severity": (rewritten("labels.npy", lambda x: x[:30]), ValueError, r"150 whole numbers, 30 for each severity, got shape \(30,\)"),
    "labels as text": (rewritten("labels.npy", lambda x: x.astype(str)), ValueError, "150 whole numbers"),
    "labels that differ": (rewritten("labels.npy", lambda x: relabelled(x, 64, 9)), ValueError, "image 4 the label 4 at severity 1 and 9 at severity 3"),
    "labels of 100 classes": (rewritten("labels.npy", lambda x: np.tile(np.arange(30), 5)), ValueError, "image 10 the label 10; CIFAR-10-C has labels 0 to 9"),
    "labels below 0": (rewritten("labels.npy", lambda x: np.tile(np.arange(30) % 10 - 1, 5)), ValueError, "image 0 the label -1"),
}  # fmt: skip


@pytest.mark.parametrize(("spoil", "kind", "message"), SPOILT_ARRAYS.values(), ids=SPOILT_ARRAYS)
def test_arrays_that_are_not_as_published(spoil, kind, message, arrays, tmp_path):
    folder = shutil.copytree(arrays, tmp_path / "spoilt")
    spoil(folder)
    with pytest.raises(kind, match=message):
        of_arrays(folder)


SPOILT_FOLDERS = {
    "no corruption": (lambda f: shutil.rmtree(f / "contrast"), FileNotFoundError, "lacks contrast of Tiny"),
    "no severity": (lambda f: shutil.rmtree(f / "contrast" / "4"), FileNotFoundError, "lacks contrast/4 of Tiny"),
    "no class": (lambda f: shutil.rmtree(f / "brightness" / "1" / WNIDS[2]), ValueError, "has 8 images; .* has 12"),
    "no clean file": (lambda f: (f / "clean" / WNIDS[0] / "val_0003.JPEG").unlink(), FileNotFoundError, "lacks 1 of the 12 images .* such as n01440764/val_0003.JPEG"),
    "no clean class": (lambda f: shutil.rmtree(f / "clean" / WNIDS[0]), FileNotFoundError, "lacks 4 of the 12"),
}  # fmt: skip


@pytest.mark.parametrize(("spoil", "kind", "message"), SPOILT_FOLDERS.values(), ids=SPOILT_FOLDERS)
def test_folders_that_are_not_as_published(spoil, kind, message, folders, tmp_path):
    folder = shutil.copytree(folders, tmp_path / "spoilt")
    spoil(folder)
    with pytest.raises(kind, match=message):
        of_folders(folder)


def test_files_of_a_severity_that_are_not_those_of_the_others_are_named_before_any_work(folders, tmp_path):
    folder = shutil.copytree(folders, tmp_path / "spoilt")
    (folder / "contrast" / "3" / WNIDS[0] / "val_0003.JPEG").rename(folder / "contrast" / "3" / WNIDS[0] / "new.JPEG")
    found = of_folders(folder)
    message = "3 lacks 1 images that the other folders have, such as n01440764/val_0003.JPEG and has 1 images that the others lack, such as n01440764/new.JPEG"
    encoder = []
    with pytest.raises(ValueError, match=message):
        rg.robustness.corruption_robustness(encoder.append, "published", published=found, k=3)
    assert encoder == []


@pytest.mark.parametrize(
    ("content", "message"), [(b"", "is no image that can be read"), (None, r"has 20 × 10 pixels; .* 64 × 64")]
)
def test_a_file_that_is_no_image_of_the_set_is_named(content, message, folders, tmp_path):
    folder = shutil.copytree(folders, tmp_path / "spoilt")
    path = folder / "contrast" / "3" / WNIDS[0] / "val_0003.JPEG"
    if content is None:
        Image.new("RGB", (20, 10)).save(path)
    else:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=f"val_0003.JPEG {message}"):
        of_folders(folder).images("contrast", 3)[:]


WRONG = {
    "set": ({"name": "CIFAR-C"}, ValueError, "no published set is called 'CIFAR-C'; there are CIFAR-10-C, CIFAR-100-C, Tiny-ImageNet-C, ImageNet-C, ImageNet-C-bar."),
    "no folder": ({"folder": "nowhere"}, FileNotFoundError, "nowhere is not a folder"),
    "the published number": ({"n_images": None}, ValueError, r"CIFAR-10-C has \(50000, 32, 32, 3\)"),
    "corruption": ({"corruptions": "fogg"}, ValueError, "Did you mean 'fog'"),
    "no corruption": ({"corruptions": []}, ValueError, "`corruptions` is empty"),
    "row": ({"rows": [0, 30]}, ValueError, "different numbers from 0 to 29, got 0 to 30"),
    "negative row": ({"rows": [-1]}, ValueError, "different numbers from 0 to 29"),
    "row twice": ({"rows": [3, 3]}, ValueError, "different numbers"),
    "rows as a mask": ({"rows": np.ones(30, bool)}, ValueError, r"`rows` must be whole numbers \(m,\), got shape \(30,\), bool"),
    "no rows": ({"rows": []}, ValueError, "`rows` must be whole numbers"),
    "clean of another number": ({"clean": CLEAN[:29]}, ValueError, r"`clean` must be uint8 images \(30, 32, 32, 3\) .* got shape \(29, 32, 32, 3\)"),
    "clean floats": ({"clean": CLEAN / 255}, ValueError, "`clean` must be uint8 images .* float32"),
    "clean of another size": ({"clean": SMALL}, ValueError, r"got shape \(12, 64, 64, 3\)"),
    "clean nowhere": ({"clean": "nowhere.npy"}, FileNotFoundError, r"`clean` \(nowhere.npy\) is no file"),
    "clean in reverse": ({"clean": CLEAN.flip(0)}, ValueError, "the clean images are not those of the set, or in another order: 30 of 30"),
    "clean shifted by one": ({"clean": CLEAN.roll(1, 0)}, ValueError, "image 0 looks like clean image 1. Give `clean` in the order"),
    "other clean images": ({"clean": crops(31, 32)[:30]}, ValueError, "the clean images are not those of the set"),
}  # fmt: skip


@pytest.mark.parametrize(("change", "kind", "message"), WRONG.values(), ids=WRONG)
def test_wrong_arguments(change, kind, message, arrays):
    with pytest.raises(kind, match=message):
        published(
            **{"name": "CIFAR-10-C", "folder": arrays, "corruptions": NAMES, "n_images": 30, "clean": CLEAN} | change
        )


WRONG_TABLES = {
    "no set": ({"published": None}, "`images` is 'published': give images, or 'published' with `published=rg.robustness.published"),
    "another word": ({"images": "clean"}, "`images` must be images or 'published', got 'clean'"),
    "strengths": ({"strengths": "cifar"}, "`strengths` and `frost_images` say how images are corrupted here"),
    "frost": ({"frost_images": [CLEAN[0]]}, "`strengths` and `frost_images`"),
    "severity between": ({"severities": [1, 2.5]}, "published sets have severities 1, 2, 3, 4 and 5, got 2.5"),
    "corruption": ({"corruptions": "fog"}, "this set has no 'fog'; it has brightness, contrast, gaussian_noise"),
    "fewer images": ({"images": CLEAN[:20]}, r"`images` has shape \(20, 3, 32, 32\); the published set's images have \(30, 3, 32, 32\)"),
    "larger images": ({"images": crops(30, 64)}, r"`images` has shape \(30, 3, 64, 64\)"),
    "another order": ({"images": CLEAN.flip(0)}, "the clean images are not those of the set"),
    "labels in another order": ({"labels": np.arange(30)[::-1] % 10}, "`labels` gives image 0 the label 9, and the published set 0"),
}  # fmt: skip


@pytest.mark.parametrize(("change", "message"), WRONG_TABLES.values(), ids=WRONG_TABLES)
def test_tables_that_do_not_fit_the_set(change, message, arrays):
    settings = {"images": "published", "published": of_arrays(arrays), "k": 3, "severities": 1} | change
    for table in (rg.robustness.corruption_robustness, rg.robustness.compare_robustness):
        encoders = [pixels] * (1 + (table is rg.robustness.compare_robustness))
        with pytest.raises(ValueError, match=message):
            table(*encoders, **settings)


def test_without_clean_images_there_is_no_drift(arrays):
    found = of_arrays(arrays, clean=None)
    assert "without clean images" in repr(found)
    with pytest.raises(ValueError, match="Open the set with `clean=`, or give them as `images`"):
        rg.robustness.corruption_robustness(pixels, "published", published=found, k=3)
    with pytest.raises(ValueError, match="our corruption needs clean images"):
        rg.robustness.compare_published(found)
    table = rg.robustness.corruption_robustness(pixels, CLEAN, published=found, severities=1, k=3)
    assert set(table.corruption) == {"clean", *NAMES}


def test_labels_may_be_groups_of_the_sets_classes(arrays):
    groups = np.arange(30) % 10 // 5
    table = rg.robustness.corruption_robustness(
        pixels, "published", groups, published=of_arrays(arrays), severities=1, k=3
    )
    expected = rg.robustness.feature_robustness(pixels(CLEAN / 255.0), pixels(CLEAN / 255.0), groups, k=3)
    clean = [t[(t.corruption == "clean") & (t.measure == "knn_accuracy")]["value"].item() for t in (table, expected)]
    assert clean[0] == clean[1]


@pytest.mark.parametrize(("name", "severity"), [("fog", 1), ("contrast", 0), ("contrast", 6), ("contrast", 2.5)])
def test_images_that_a_set_does_not_have(name, severity, arrays):
    with pytest.raises(ValueError, match=r"it has brightness|published severities are 1, 2, 3, 4 and 5"):
        of_arrays(arrays).images(name, severity)
