import dataclasses
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tests.training import toy
from tests.training.compare import same_runs, tensors_of

from limner.errors import LimnerError, TrainingStopped
from limner.training import stage_training
from limner.training.bundle_folder import read_bundle
from limner.training.log import read_log
from limner.training.run_folder import RunFolder
from limner.training.tensors import load_tensors


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole training without interruption; tests only read it."""
    run = tmp_path_factory.mktemp("runs") / "plain"
    toy.train(run)
    return run


def test_a_run_leaves_what_the_architecture_says(plain: Path) -> None:
    folders = {path.parent.relative_to(plain).as_posix() for path in plain.rglob("*") if path.is_file()}
    assert folders == {".", "samples", "painter", "stages/0-words", "stages/1-painter", "checkpoints/words-32",
                       "checkpoints/words-48", "checkpoints/painter-32", "checkpoints/painter-48"}
    assert not [path for path in plain.rglob("*") if path.suffix in (".partial", ".retired")]
    config = json.loads((plain / "config.json").read_text())
    assert config["system"] == "toy"
    assert config["seed"] == 3
    assert config["config"]["batch_size"] == 8


def test_the_log_has_one_line_a_tick_with_means_of_the_losses(plain: Path) -> None:
    lines = read_log(plain / "log.jsonl")
    assert [(line["stage"], line["step"], line["images"]) for line in lines] == [
        (stage, images // 8, images) for stage in ("words", "painter") for images in (16, 32, 48)]
    # The toy reports images_seen / images of each step: 0, 8 | 16, 24 | 32, 40 of 48.
    assert [line["losses"]["fraction"] for line in lines[:3]] == pytest.approx([4 / 48, 20 / 48, 36 / 48])
    assert lines[0]["figures"] == {"peak": -16.0, "nothing": None}
    assert lines[3]["figures"]["sample_spread"] > 1
    assert all(line["images_per_second"] > 0 and line["memory_mb"] > 50 for line in lines)
    assert lines[2]["seconds"] > lines[1]["seconds"] > lines[0]["seconds"] > 0


def test_the_painter_holds_the_averages(plain: Path) -> None:
    bundle = read_bundle(plain / "painter")
    assert (bundle.system, bundle.config) == ("toy", json.loads((plain / "config.json").read_text())["config"])
    assert {"preset": "toy", "data": "stripes", "licence": "CC0-1.0", "images": 48}.items() <= bundle.info.items()
    assert set(bundle.components.weights) == {"words", "painter"}
    assert bundle.components.assets == {"vocabulary": list(toy.WORDS)}
    state = load_tensors(plain / "checkpoints" / "painter-48" / "state.safetensors")
    for key, value in bundle.components.weights["painter"].items():
        assert torch.equal(value, state[f"average/painter/{key}"])
        assert key == "norm.num_batches_tracked" or not torch.equal(value, state[f"module/painter/{key}"])


def test_sample_grids_are_drawn_at_the_start_and_at_ticks(plain: Path) -> None:
    names = sorted(path.name for path in (plain / "samples").iterdir())
    assert names == ["painter-0.png", "painter-16.png", "painter-32.png", "painter-48.png", "painter-reals.png"]
    first, last = (np.asarray(Image.open(plain / "samples" / f"painter-{n}.png")) for n in (0, 48))
    assert first.shape == last.shape
    assert not np.array_equal(first, last)


@pytest.mark.parametrize("step", [0, 2, 3, 5])
@pytest.mark.parametrize("stage", ["words", "painter"])
def test_interrupted_and_resumed_is_bit_for_bit_uninterrupted(plain: Path, tmp_path: Path, stage: str, step: int
                                                              ) -> None:
    config = toy.ToyConfig(fault="interrupt", fault_stage=stage, fault_step=step)
    with pytest.raises(KeyboardInterrupt):
        toy.train(tmp_path / "run", config=config)
    assert (tmp_path / "run" / "checkpoints" / f"{stage}-{(step + 1) * 8}").is_dir()
    toy.train(tmp_path / "run", config=config, resume=True)
    same_runs(tmp_path / "run", plain)


def test_between_ticks_a_checkpoint_is_written_now_and_then(plain: Path, tmp_path: Path,
                                                            monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_LOOK_SECONDS", "_SAVE_SECONDS"):
        monkeypatch.setattr(stage_training, name, -1.0)
    run = tmp_path / "run"
    toy.train(run)
    left = {path.name for path in (run / "checkpoints").iterdir()}
    assert left == {"words-40", "words-48", "painter-40", "painter-48"}  # of batches of 8, where a tick has 16
    for path in ("checkpoints/painter-48", "stages/1-painter", "painter"):
        shutil.rmtree(run / path)  # as if killed before the last tick
    toy.train(run, resume=True)
    same_runs(run, plain)


def test_global_generators_neither_matter_nor_change(plain: Path, tmp_path: Path) -> None:
    torch.manual_seed(123)
    before = torch.get_rng_state()
    toy.train(tmp_path / "run")
    assert torch.equal(torch.get_rng_state(), before)
    same_runs(tmp_path / "run", plain)


def test_pictures_that_must_be_enlarged_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    toy.train(tmp_path / "fitting", progress=True)
    assert "enlarged" not in capsys.readouterr().err
    toy.train(tmp_path / "small", data=toy.corpus(side=6), progress=True)
    assert "smaller than the 8 pixels of this stage (the middle one has 6)" in capsys.readouterr().err


def test_another_seed_gives_another_training(plain: Path, tmp_path: Path) -> None:
    toy.train(tmp_path / "run", seed=4)
    ours, theirs = tensors_of(tmp_path / "run"), tensors_of(plain)
    assert not torch.equal(ours["painter/painter/start.weight"], theirs["painter/painter/start.weight"])


def test_a_taken_folder_is_refused(plain: Path) -> None:
    with pytest.raises(LimnerError, match=r"exists already and is not empty.*--resume"):
        toy.train(plain)


def test_nothing_to_resume_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LimnerError, match="no training to resume"):
        toy.train(tmp_path / "run", resume=True)
    assert not (tmp_path / "run").exists()


def test_a_run_that_is_being_trained_is_left_alone(plain: Path) -> None:
    description = json.loads((plain / "config.json").read_text())
    with (RunFolder(plain).opened(description, resume=True, config_type=toy.ToyConfig),
          pytest.raises(LimnerError, match="another process is training")):
        toy.train(plain, resume=True)


def test_a_resumed_run_must_be_the_same(plain: Path) -> None:
    with pytest.raises(LimnerError, match="seed is 4 here and was 3"):
        toy.train(plain, resume=True, seed=4)
    with pytest.raises(LimnerError, match=r"config\.width is 9 here and was 8"):
        toy.train(plain, resume=True, config=toy.ToyConfig(width=9))
    with pytest.raises(LimnerError, match=r"data\.key"):
        toy.train(plain, resume=True, data=toy.corpus(20))
    with pytest.raises(LimnerError, match="system is 'other' here"):
        toy.train(plain, resume=True, system=dataclasses.replace(toy.SYSTEM, name="other"))


def test_a_run_from_before_a_field_came_into_being_resumes_with_its_default(tmp_path: Path) -> None:
    run = tmp_path / "run"
    toy.train(run)
    description = json.loads((run / "config.json").read_text())
    assert description["config"].pop("width") == 8
    (run / "config.json").write_text(json.dumps(description))
    with pytest.raises(LimnerError, match=r"config\.width is 9 here and was 8"):
        toy.train(run, resume=True, config=toy.ToyConfig(width=9))
    toy.train(run, resume=True)
    assert json.loads((run / "config.json").read_text())["config"]["width"] == 8
    description["config"]["gone"] = 1
    (run / "config.json").write_text(json.dumps(description))
    with pytest.raises(LimnerError, match="config has no field 'gone'"):
        toy.train(run, resume=True)


def test_a_finished_run_resumes_to_itself_and_more_images_extend_the_last_stage(tmp_path: Path) -> None:
    run = tmp_path / "run"
    toy.train(run)
    before = tensors_of(run)
    toy.train(run, resume=True)
    after = tensors_of(run)
    assert all(torch.equal(before[name], after[name]) for name in before)
    toy.train(run, resume=True, images=64)
    assert [(line["stage"], line["images"]) for line in read_log(run / "log.jsonl")][-2:] == [
        ("painter", 48), ("painter", 64)]
    assert read_bundle(run / "painter").info["images"] == 64
    toy.train(run, resume=True)  # keeps to 64, though the configuration says 48
    assert len(read_log(run / "log.jsonl")) == 7


def test_the_best_checkpoint_is_kept_and_handed_on(tmp_path: Path) -> None:
    toy.train(tmp_path / "run", config=toy.ToyConfig(best="peak", images=96), keep=1)
    kept = sorted(path.name for path in (tmp_path / "run" / "checkpoints").iterdir())
    assert kept == ["painter-32", "painter-96", "words-32", "words-96"]
    best = load_tensors(tmp_path / "run" / "checkpoints" / "painter-32" / "state.safetensors")
    bundle = read_bundle(tmp_path / "run" / "painter")
    assert bundle.info["images"] == 32
    assert torch.equal(bundle.components.weights["painter"]["up.weight"], best["average/painter/up.weight"])
    with pytest.raises(LimnerError, match=r"'acuity'.*peak, nothing"):
        toy.train(tmp_path / "other", config=toy.ToyConfig(best="acuity"))


def test_a_loss_that_is_no_number_stops_and_keeps_the_last_good_state(tmp_path: Path) -> None:
    run = tmp_path / "run"
    with pytest.raises(TrainingStopped, match=r"(?s)loss 'square' of stage 'painter'.*48 images.*painter-32.*rate"):
        toy.train(run, config=toy.ToyConfig(fault="loss"))
    assert sorted(path.name for path in (run / "checkpoints").glob("painter-*")) == ["painter-16", "painter-32"]
    assert read_log(run / "log.jsonl")[-1]["images"] == 32


def test_weights_that_are_no_numbers_are_never_saved(tmp_path: Path) -> None:
    run = tmp_path / "run"
    with pytest.raises(TrainingStopped, match=r"module/painter/start\.weight.*not saved.*painter-32"):
        toy.train(run, config=toy.ToyConfig(fault="weights"))
    assert sorted(path.name for path in (run / "checkpoints").glob("painter-*")) == ["painter-16", "painter-32"]


def test_a_collapse_stops_at_the_second_tick(tmp_path: Path) -> None:
    config = toy.ToyConfig(fault="same", images=4 * 700, tick=4 * 250, batch_size=4)
    with pytest.raises(TrainingStopped, match=r"collapsed.*are the same.*2,800 images.*painter-1000;"):
        toy.train(tmp_path / "run", config=config, keep=1)
    kept = [path.name for path in (tmp_path / "run" / "checkpoints").glob("painter-*")]
    assert sorted(kept) == ["painter-1000", "painter-2000"]


def test_what_failed_before_its_first_tick_may_be_started_again(plain: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingStopped, match="No state was saved"):
        toy.train(tmp_path / "run", config=toy.ToyConfig(fault="loss", fault_stage="words", fault_step=0))
    toy.train(tmp_path / "run")
    same_runs(tmp_path / "run", plain)


def test_missing_tensorboard_is_told_before_anything_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch
                                                                ) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(LimnerError, match=r"pip install 'limner\[track\]'"):
        toy.train(tmp_path / "run", tensorboard=True)
    assert not (tmp_path / "run").exists()


def test_tensorboard_files_are_written_on_request(tmp_path: Path) -> None:
    toy.train(tmp_path / "run", tensorboard=True)
    assert list((tmp_path / "run" / "tensorboard").glob("events.out.tfevents.*"))
