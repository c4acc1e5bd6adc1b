"""Completion in a shell: every command, option and choice, and files elsewhere."""

import argparse
import shutil
import subprocess

import pytest

from repgeom.cli.main import COMMANDS, _parser, main


def script(shell, capsys):
    assert main(["completion", shell]) == 0
    return capsys.readouterr().out


def subparsers():
    return next(a for a in _parser()._actions if isinstance(a, argparse._SubParsersAction)).choices


def cases():
    """Words up to the cursor, and what may stand there; None where files are completed."""
    choices = subparsers()
    yield ["repgeom", ""], {*choices, "-h", "--help", "--version"}
    yield ["repgeom", "--v"], {"--version"}
    yield ["repgeom", "au"], {"audit", "audit-model"}
    yield ["repgeom", "completion", ""], {"bash", "zsh", "fish"}
    yield ["repgeom", "completion", "f"], {"fish"}
    yield ["repgeom", "audit", ""], set()
    yield ["repgeom", "audit", "a b.npy", "--fail-on-d"], {"--fail-on-drop"}
    yield ["repgeom", "audit", "--for", "=", "cl"], {"classify"}
    yield ["repgeom", "audit", "--for", "="], {"transfer", "classify", "retrieve", "generate"}
    yield ["repgeom", "nothing", "--"], set()
    for name, parser in choices.items():
        names = {s for action in parser._actions for s in action.option_strings}
        yield ["repgeom", name, "-"], names
        for action in parser._actions:
            for option in action.option_strings:
                if action.choices:
                    yield ["repgeom", name, option, ""], set(map(str, action.choices))
                elif action.nargs != 0:
                    yield ["repgeom", name, option, ""], set()


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
def test_bash_completes_what_there_is(capsys, tmp_path):
    found = [script("bash", capsys)]
    wanted = list(cases())
    assert len(wanted) > 40
    for words, _ in wanted:
        quoted = " ".join(f"'{word}'" for word in words)
        found.append(f'COMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}; _repgeom; echo "|${{COMPREPLY[*]}}"')
    done = subprocess.run(
        ["bash", "-u", "-c", "\n".join([*found, "complete -p repgeom"])], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.stderr == ""
    *lines, registered = done.stdout.splitlines()
    assert registered == "complete -o default -F _repgeom repgeom"  # where nothing is said, files are completed
    for (words, expected), line in zip(wanted, lines, strict=True):
        assert set(line[1:].split()) == expected, words


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_shell_knows_every_command_option_and_choice(shell, capsys):
    text = script(shell, capsys)
    assert len(COMMANDS) == len(subparsers())
    for name, parser in subparsers().items():
        assert name in text
        for action in parser._actions:
            for option in action.option_strings:
                long = option
                if shell == "fish":
                    long = f"-l {option[2:]} " if option.startswith("--") else f"-s {option[1:]} "
                assert long in text
            for choice in action.choices or ():
                assert choice in text


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_shell_reads_the_script(shell, capsys):
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell}")
    done = subprocess.run([shell, "-n"], input=script(shell, capsys), capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(shutil.which("fish") is None, reason="no fish")
def test_fish_completes_what_there_is(capsys):
    text = script("fish", capsys)
    asked = {"repgeom ": {"audit", "compare"}, "repgeom audit --for ": {"classify"}, "repgeom completion ": {"zsh"}}
    for words, expected in asked.items():
        code = f"{text}\ncomplete -C '{words}'"
        done = subprocess.run(["fish", "-c", code], capture_output=True, text=True)
        assert expected <= {line.split("\t")[0] for line in done.stdout.splitlines()}


def test_a_shell_that_there_is_not_is_refused(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["completion", "tcsh"])
    assert stopped.value.code == 2
    assert "bash" in capsys.readouterr().err
