"""Options that several commands take are the same everywhere."""

import re
from pathlib import Path

import click
import pytest

from crawler.cli import main


@pytest.mark.parametrize("flag", ["-a", "-s", "--json", "--log-level"])
def test_an_option_is_spelled_and_explained_the_same_wherever_it_is_taken(flag):
    taken = []
    for name in main.COMMANDS:
        command = main.commands.get_command(click.Context(main.commands), name)
        taken += [one for one in command.params if flag in one.opts]
    assert len(taken) >= 2
    assert len({(one.help, one.metavar, one.multiple, tuple(one.opts)) for one in taken}) == 1


def test_every_option_of_every_command_is_explained():
    for name in main.COMMANDS:
        command = main.commands.get_command(click.Context(main.commands), name)
        for option in command.params:
            assert isinstance(option, click.Argument) or option.help, (name, option.opts)


def all_commands():
    for name in main.COMMANDS:
        command = main.commands.get_command(click.Context(main.commands), name)
        yield name, command
        for below in getattr(command, "commands", {}).values():
            yield name, below


def test_the_page_about_commands_names_every_command_and_every_option():
    page = (Path(__file__).parents[2] / "docs" / "commands.md").read_text(encoding="utf-8")
    sections = {title: part for part in page.split("\n## ") for title in part.partition("\n")[0].split(", ")}
    for name, command in all_commands():
        section = sections[f"crawler {name}"]
        for option in command.params:
            missing = [flag for flag in option.opts if flag.startswith("-") and f"`{flag}" not in section]
            assert not missing, f"docs/commands.md says nothing of {missing} of crawler {name}"


def test_the_readme_names_every_command():
    page = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    table = page.split("## Commands")[1].split("## From Python")[0]
    named = {" ".join(words.split()) for words in re.findall(r"`crawler ([a-z]+(?: [a-z]+)?)", table)}
    for name, command in all_commands():
        assert any(words.split()[0] == name for words in named), f"README.md says nothing of crawler {name}"
        for below in getattr(command, "commands", {}):
            assert below == "list" or f"{name} {below}" in named, f"README.md says nothing of crawler {name} {below}"
