"""Options that several commands take are the same everywhere."""

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
