"""limner train: a folder of captioned pictures becomes a painter."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from limner.cli.terminal import parsed_value, progress, say
from limner.errors import LimnerError
from limner.precision import PRECISIONS

_EXAMPLES = """\
examples:
  limner train --list                                         the systems and their presets
  limner train gan-cls my-birds/ --out runs/birds             the default preset of a system
  limner train gan-cls my-birds/ --out runs/birds --resume    go on after any interruption
  limner train gan-cls my-birds/ --out runs/small --images 200000 --batch-size 32
  limner train gan-cls my-birds/ --out runs/x --set FIELD=VALUE --dry-run
  limner train gan-cls my-birds/ --out runs/y --set gan.variety_weight=2 --stages-from runs/birds
                                                              the same text encoder, another gan
  limner train gan-cls my-birds/ --out runs/z --set prior.schedule.images=4000000 --stages-from runs/birds
                                                              the same painter, with a prior that completes
                                                              short captions; trained in minutes

Ctrl-C saves and ends; the same command with --resume goes on exactly where it stopped.
--dry-run prints the configuration with all its fields as JSON: the names that --set takes,
with dots for nested ones (--set gan.noise_size=64). A part that is null comes into being when
one of its fields is set (--set style.schedule.images=200000); what is not set has its default.
On several GPUs: torchrun --nproc-per-node 2 -m limner train ...
"""


def add_parser(commands: Any, common: argparse.ArgumentParser) -> None:
    parser = commands.add_parser(
        "train", parents=[common], help="train a painter on captioned pictures", epilog=_EXAMPLES,
        description="Trains all stages of a system, in order, into a run folder.",
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("system", nargs="?", metavar="SYSTEM|PRESET", help="what to train (see --list)")
    parser.add_argument("data", nargs="?", type=Path, metavar="DATA", help="folder of captioned pictures")
    parser.add_argument("--list", action="store_true", help="list systems and presets and do nothing else")
    parser.add_argument("--out", type=Path, metavar="RUN", help="the run folder to write")
    parser.add_argument("--resume", action="store_true", help="go on with the training in the run folder")
    parser.add_argument("--stages-from", type=Path, metavar="RUN",
                        help="take over the first stages of another run that would be trained in the same way: same "
                             "settings, data and seed, so that only what differs is trained")
    parser.add_argument("--images", type=int, metavar="N", help="images shown to each stage (default: as the preset)")
    parser.add_argument("--tick", type=int, metavar="N", help="images between two log lines, grids and checkpoints")
    parser.add_argument("--batch-size", type=int, metavar="N", help="batch size of every stage")
    parser.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE",
                        help="change a field of the configuration; may be repeated")
    parser.add_argument("--debug", action="store_true",
                        help="tiny networks and schedules, all else as in the preset: a trial run in seconds")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="seed of everything (default 0)")
    parser.add_argument("--device", default="auto", help="cpu, cuda, mps or auto (default auto: a GPU if there is one)")
    parser.add_argument("--precision", choices=PRECISIONS, default="auto",
                        help="32, bf16 or auto (default auto: bf16 where it is fast)")
    parser.add_argument("--threads", type=int, default=0, metavar="N", help="CPU threads (default: torch's choice)")
    parser.add_argument("--keep", type=int, default=2, metavar="N", help="checkpoints kept beside the best (default 2)")
    parser.add_argument("--cache-dir", type=Path, metavar="DIR", help="where the cache of a read-only DATA goes")
    parser.add_argument("--skip-broken", action="store_true", help="leave out broken pictures and faulty lines of DATA")
    parser.add_argument("--tensorboard", action="store_true", help="also write TensorBoard files")
    parser.add_argument("--dry-run", action="store_true", help="print what would be trained as JSON and stop")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    if arguments.list:
        _list()
        return
    if arguments.system is None or arguments.data is None:
        raise LimnerError("name a system and a folder of captioned pictures: limner train gan-cls my-birds/ "
                          "--out runs/birds. The systems and presets: limner train --list.")
    if arguments.out is None and not arguments.dry_run:
        raise LimnerError("say with --out where the run folder shall be, as in --out runs/birds.")
    from limner.config import from_json, to_json
    from limner.systems import find_preset
    from limner.training.settings import RunSettings

    system, preset = find_preset(arguments.system)
    settings = from_json(RunSettings, {
        name: getattr(arguments, name)
        for name in ("seed", "device", "precision", "threads", "keep", "tensorboard", "images", "tick")
    }, where="settings")
    config = system.presets[preset]()
    plain = to_json(system.debug(config) if arguments.debug else config)
    if arguments.batch_size is not None:
        _set_everywhere(plain, "batch_size", arguments.batch_size)
    for item in arguments.set:
        _set(plain, item)
    config = from_json(system.config_type, plain)
    if arguments.dry_run:
        print(json.dumps({"system": system.name, "preset": preset, "stages": list(system.stage_names(config)),
                          "config": to_json(config), "settings": to_json(settings)}, indent=1))
        return
    from limner.data.pictures import open_corpus
    from limner.training.loop import train

    with progress() as bar:
        corpus = open_corpus(arguments.data, cache_dir=arguments.cache_dir, progress=bar,
                             skip_broken=arguments.skip_broken)
    for problem in corpus.skipped:
        say(f"left out: {problem}")
    finished: list[Path] = []
    if arguments.stages_from is not None:
        from limner.systems.reuse import finished_stages

        finished = finished_stages(arguments.stages_from, system, config, corpus, seed=settings.seed,
                                   images=settings.images)
        say(f"taken over from {arguments.stages_from}: {', '.join(path.name.partition('-')[2] for path in finished)}")
    train(system, preset, config, corpus, arguments.out, settings, resume=arguments.resume, finished=finished)
    print(arguments.out)


def _list() -> None:
    from limner.systems import get_system, system_names

    for name in system_names():
        system = get_system(name)
        print(f"{name}: {system.title}")
        for number, (preset, make) in enumerate(system.presets.items()):
            line = " ".join((make.__doc__ or "").strip().partition("\n\n")[0].split())
            print(f"  {preset:24} {line}{' (default)' if number == 0 else ''}")


def _set(plain: dict[str, Any], item: str) -> None:
    """Sets one field of a configuration in JSON form; ``from_json`` then says what is wrong with name or value."""
    path, equals, value = item.partition("=")
    if not equals:
        raise LimnerError(f"--set takes FIELD=VALUE, got {item!r}.")
    *parents, last = path.split(".")
    place: Any = plain
    for depth, name in enumerate(parents, 1):
        if place.get(name) is None:  # a part that was left out comes into being
            place[name] = {}
        place = place[name]
        if not isinstance(place, dict):
            raise LimnerError(f"{'.'.join(parents[:depth])} has no fields of its own, so {path!r} cannot be set.")
    place[last] = parsed_value(value)


def _set_everywhere(plain: dict[str, Any], field: str, value: int) -> None:
    """Sets a field wherever a stage has it. Raises LimnerError if none has."""
    groups = [plain]
    found = False
    while groups:
        group = groups.pop()
        groups += [item for item in group.values() if isinstance(item, dict)]
        if field in group:
            group[field] = value
            found = True
    if not found:
        raise LimnerError(f"no stage of this system has the field {field}; --dry-run shows the fields.")
