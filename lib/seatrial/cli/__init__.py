"""The command line: one module a command, nothing imported that the command does not use."""
