"""``python -m pipelines.images build|push|cloud-build|list [KIND]...``: what make images and make push run."""

import argparse
import sys

from components.core.errors import StepError
from pipelines.images import build, cloud_build, names, push


def main(arguments: list[str] | None = None) -> int:
    """Run a command line.

    Returns:
        The exit status: 0 for success, 1 where the engine failed, 2 for what the user can mend, 130 after SIGINT.
    """
    asked = _parser().parse_args(arguments)
    try:
        match asked.command:
            case "build":
                build.build(asked.kinds, asked.base, again=asked.again)
            case "push":
                push.push(asked.kinds, asked.registry, again=asked.again)
            case "cloud-build":
                print(cloud_build.config(asked.kinds, asked.registry))
            case "list":
                print("\n".join(name for kind in names.image_kinds(asked.kinds) for name in names.local(kind)))
    except StepError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2 if error.kind == "settings" else 1
    except KeyboardInterrupt:
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m pipelines.images", description="The images of these sources.")
    commands = parser.add_subparsers(dest="command", required=True)
    building = commands.add_parser("build", help="build those that are not there yet")
    building.add_argument("--base", default="", help="the image to stand on")
    building.add_argument("--again", action="store_true", help="build those that are there, too")
    pushing = commands.add_parser("push", help="push those that the registry lacks")
    pushing.add_argument("--registry", default="", help="HOST/PATH")
    pushing.add_argument("--again", action="store_true", help="replace those that stand on another base there")
    config = commands.add_parser("cloud-build", help="print what gcloud builds submit --config takes")
    config.add_argument("--registry", default="", help="HOST/PATH")
    listing = commands.add_parser("list", help="print their names")
    for command in (building, pushing, config, listing):
        command.add_argument("kinds", nargs="*", metavar="KIND", help=f"{', '.join(names.KINDS)} (default: cpu)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
