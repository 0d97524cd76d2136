#include <eddy/command.hpp>

#include <stdexcept>
#include <string>
#include <vector>

#include "lib/words.hpp"
#include <eddy/testing.hpp>

using namespace eddy;
using namespace std::string_literals;

TEST_CASE("command: the program and its arguments, as a shell would want them in messages") {
    CHECK(command("cat").to_string() == "cat");
    CHECK(command("grep", "-c", "two words", "it's", "").to_string() == "grep -c 'two words' 'it'\\''s' ''");
    CHECK(command("ls", std::vector<std::string>{"-l", "/"}).arg("x").to_string() == "ls -l / x");
    CHECK(command::shell("echo $HOME").to_string() == "/bin/sh -c 'echo $HOME'");
    CHECK(command("cat").program() == "cat");
}

TEST_CASE("command: what no program could get is refused, and the text says what") {
    CHECK_THROWS_AS(command(""), std::invalid_argument);
    CHECK_THROWS_AS(command("a\0b"s), std::invalid_argument);
    CHECK_THROWS_AS(command("a", "b\0c"s), std::invalid_argument);
    CHECK_THROWS_AS(command("a").env("", "x"), std::invalid_argument);
    CHECK_THROWS_AS(command("a").env("A=B", "x"), std::invalid_argument);
    CHECK_THROWS_AS(command("a").env("A", "x\0y"s), std::invalid_argument);
    CHECK_THROWS_AS(command("a").directory("/tmp\0x"s), std::invalid_argument);
    CHECK_THROWS_AS(command("a").stdout_file("/tmp\0x"s), std::invalid_argument);
    try {
        command("a", "b\0c"s);
    } catch (const std::invalid_argument& e) {
        CHECK(std::string(e.what()).find("NUL in the argument 'b'") != std::string::npos);
    }
}

TEST_CASE("command: works as a variable, as a temporary and as a copy") {
    command c("cat");
    c.stdin_pipe().stdout_null().env("A", "1");
    const command copy = c;
    c.arg("-n");
    CHECK(copy.to_string() == "cat");
    CHECK(c.to_string() == "cat -n");
    const command chained = command("sh", "-c", "true").stdin_null().stderr_to_stdout().directory("/").new_process_group();
    CHECK(chained.parts().directory == "/");
    CHECK(chained.parts().own_group);
}
