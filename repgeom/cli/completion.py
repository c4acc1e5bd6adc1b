"""`repgeom completion`: a script by which a shell completes commands, options and their choices."""

from __future__ import annotations

import argparse
import dataclasses
from typing import Any

from repgeom.cli.output import print_text


def add_parser(commands: Any) -> None:
    """Add the command and its options to the parser's `commands`."""
    parser = commands.add_parser(
        "completion",
        help="print a script that completes this command in a shell",
        description="Prints a script that completes commands, options and their choices; elsewhere files are completed. "
        "bash: `source <(repgeom completion bash)` in ~/.bashrc. zsh: `source <(repgeom completion zsh)` in ~/.zshrc, after "
        "compinit. fish: `repgeom completion fish > ~/.config/fish/completions/repgeom.fish`.",
    )
    parser.set_defaults(run=run)
    parser.add_argument("shell", choices=list(SCRIPTS), help="which shell")


def run(args: argparse.Namespace) -> int:
    """Print the script, made from the options that there are."""
    from repgeom.cli.main import _parser

    print_text(SCRIPTS[args.shell](_commands_of(_parser())).rstrip())
    return 0


@dataclasses.dataclass(frozen=True)
class Option:
    """An option, or (without names) an argument in its place."""

    names: tuple[str, ...]
    takes_value: bool
    choices: tuple[str, ...]
    help: str


@dataclasses.dataclass(frozen=True)
class Command:
    """A command with what it takes."""

    name: str
    help: str
    options: tuple[Option, ...]

    @property
    def names(self) -> list[str]:
        """Everything that begins with a dash."""
        return [name for option in self.options for name in option.names]

    @property
    def words(self) -> list[str]:
        """What an argument without a dash may be, where that is known."""
        return [choice for option in self.options if not option.names for choice in option.choices]


def _commands_of(parser: argparse.ArgumentParser) -> list[Command]:
    """Every command; the first, without a name, has the options that stand before one."""
    subparsers = next(a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    helps = {action.dest: action.help or "" for action in subparsers._choices_actions}
    found = [Command("", "", _options_of(parser))]
    for name, one in subparsers.choices.items():
        found.append(Command(name, helps.get(name, ""), _options_of(one)))
    return found


def _options_of(parser: argparse.ArgumentParser) -> tuple[Option, ...]:
    options = []
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            continue
        choices = tuple(map(str, action.choices or ()))
        text = " ".join((action.help or "").split()).replace("%%", "%")
        options.append(Option(tuple(action.option_strings), action.nargs != 0, choices, text))
    return tuple(options)


# bash, and zsh by its bashcompinit ------------------------------------------------------------------------------------

_BASH = """\
_repgeom() {
    local current="${COMP_WORDS[COMP_CWORD]}" previous="${COMP_WORDS[COMP_CWORD-1]}" words=""
    COMPREPLY=()
    # --option=value arrives as three words.
    if [[ "$current" == "=" ]]; then
        current=""
    elif [[ "$previous" == "=" ]]; then
        previous="${COMP_WORDS[COMP_CWORD-2]}"
    fi
    if [[ "$COMP_CWORD" -eq 1 ]]; then
        words="TOP"
    else
        case "${COMP_WORDS[1]} $previous" in
CHOICES
            *)
                case "${COMP_WORDS[1]}" in
COMMANDS
                esac
                ;;
        esac
    fi
    # Without a word here, the shell completes files.
    [[ -n "$words" ]] && COMPREPLY=($(compgen -W "$words" -- "$current"))
    return 0
}
complete -o default -F _repgeom repgeom
"""


def _bash(commands: list[Command]) -> str:
    top, *others = commands
    choices, names = [], []
    for command in others:
        for option in command.options:
            if option.names and option.takes_value:
                places = "|".join(f'"{command.name} {name}"' for name in option.names)
                choices.append(f'            {places}) words="{" ".join(option.choices)}" ;;')
        dashed = " ".join(command.names)
        names.append(
            f'                    {command.name}) [[ "$current" == -* ]] && words="{dashed}" || words="{" ".join(command.words)}" ;;'
        )
    first = " ".join([*(command.name for command in others), *top.names])
    return _BASH.replace("TOP", first).replace("CHOICES", "\n".join(choices)).replace("COMMANDS", "\n".join(names))


def _zsh(commands: list[Command]) -> str:
    return "autoload -U +X bashcompinit && bashcompinit\n" + _bash(commands)


# fish -----------------------------------------------------------------------------------------------------------------


def _fish(commands: list[Command]) -> str:
    top, *others = commands
    lines = [f"complete -c repgeom -n __fish_use_subcommand {_fish_option(option)}" for option in top.options]
    for command in others:
        lines.append(
            f"complete -c repgeom -n __fish_use_subcommand -f -a {command.name} -d {_fish_quoted(command.help)}"
        )
    for command in others:
        start = f"complete -c repgeom -n '__fish_seen_subcommand_from {command.name}'"
        if command.words:
            lines.append(f"{start} -f -a {_fish_quoted(' '.join(command.words))}")
        lines += [f"{start} {_fish_option(option)}" for option in command.options if option.names]
    return "\n".join(lines) + "\n"


def _fish_option(option: Option) -> str:
    words = [f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}" for name in option.names]
    if option.choices:
        words.append(f"-x -a {_fish_quoted(' '.join(option.choices))}")
    elif option.takes_value:
        words.append("-r")
    return " ".join([*words, f"-d {_fish_quoted(option.help)}"])


def _fish_quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


SCRIPTS = {"bash": _bash, "zsh": _zsh, "fish": _fish}
