// command: which program to run, and with what. See <eddy/process.hpp>.
//
//     command("grep", "-c", pattern).stdin_pipe().stdout_pipe().directory("/var/log").env("LC_ALL", "C")
//
// A plain description: nothing is opened or checked before the process is spawned. Arguments reach the program as they are, no
// shell reads them; `command::shell` is for those who want one.
#pragma once

#include <concepts>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace eddy {

/// Characters of a pseudo-terminal.
struct terminal_size {
    unsigned short columns = 80;
    unsigned short rows = 24;
};

namespace detail {

/// Where a standard stream of the child leads.
struct redirection {
    enum class kind : std::uint8_t { inherit, pipe, null, descriptor, file, append, to_stdout };
    kind to = kind::inherit;
    int descriptor = -1;
    std::string path;
};

struct environment_change {
    std::string name;
    std::optional<std::string> value; // nothing: removed
};

struct command_parts {
    std::vector<std::string> argv;
    redirection streams[3];
    std::string directory;
    bool clear_environment = false;
    std::vector<environment_change> environment;
    std::vector<int> inherited;
    bool own_group = false;
    bool own_session = false;
    std::optional<terminal_size> terminal;
};

} // namespace detail

/// Copyable: a command can be run many times. What cannot be passed to a program (a NUL in an argument, an empty program or
/// variable name, "=" in a variable's name) is `std::invalid_argument`.
class command {
public:
    /// A program, looked for in its PATH (ours, unless `env` sets another) unless there is a slash in it, and its arguments.
    template <std::convertible_to<std::string>... A>
    explicit command(std::string program, A&&... arguments) : command(std::move(program), std::vector<std::string>()) {
        (arg(std::string(std::forward<A>(arguments))), ...);
    }
    command(std::string program, std::vector<std::string> arguments);
    /// `/bin/sh -c line`: the shell interprets the line, so nothing that comes from outside may be part of it.
    [[nodiscard]] static command shell(std::string line);

    command& arg(std::string argument) &;
    command&& arg(std::string argument) && { return std::move(arg(std::move(argument))); }

    // Standard streams: the parent's own, unless one of these is called. Pipes are read and written through the process;
    // descriptors are copied when the process is spawned and stay the caller's; files are created and truncated, or appended to.
    // Our own pipes and sockets are non-blocking, and would be so for the program, which seldom expects it.
    command& stdin_pipe() & { return redirect(0, kind::pipe); }
    command& stdout_pipe() & { return redirect(1, kind::pipe); }
    command& stderr_pipe() & { return redirect(2, kind::pipe); }
    command& stdin_null() & { return redirect(0, kind::null); }
    command& stdout_null() & { return redirect(1, kind::null); }
    command& stderr_null() & { return redirect(2, kind::null); }
    command& stdin_from(int descriptor) & { return redirect(0, kind::descriptor, descriptor); }
    command& stdout_to(int descriptor) & { return redirect(1, kind::descriptor, descriptor); }
    command& stderr_to(int descriptor) & { return redirect(2, kind::descriptor, descriptor); }
    command& stdin_file(std::string path) & { return redirect(0, kind::file, -1, std::move(path)); }
    command& stdout_file(std::string path) & { return redirect(1, kind::file, -1, std::move(path)); }
    command& stderr_file(std::string path) & { return redirect(2, kind::file, -1, std::move(path)); }
    command& stdout_append(std::string path) & { return redirect(1, kind::append, -1, std::move(path)); }
    command& stderr_append(std::string path) & { return redirect(2, kind::append, -1, std::move(path)); }
    /// What it prints as errors goes where its output goes.
    command& stderr_to_stdout() & { return redirect(2, kind::to_stdout); }
    /// A pseudo-terminal for all three streams, in a session of its own: for programs that ask for one. See `process::terminal`.
    command& terminal(terminal_size size = {}) &;

    /// Where it runs.
    command& directory(std::string path) &;
    /// Adds or replaces a variable in the copy of our environment that it gets.
    command& env(std::string name, std::string value) &;
    command& unset_env(std::string name) &;
    /// It gets no variables but those set by `env`.
    command& clear_env() &;
    /// Passes a descriptor on, with the same number. Every other above 2 is closed in the child.
    command& inherit(int descriptor) &;
    /// A process group of its own, which gets no Ctrl-C from the terminal and can be signalled as a whole.
    command& new_process_group() &;
    /// A session of its own (setsid): also no controlling terminal.
    command& new_session() &;

    // The same for temporaries: `command("cat").stdin_pipe()`.
    command&& stdin_pipe() && { return std::move(stdin_pipe()); }
    command&& stdout_pipe() && { return std::move(stdout_pipe()); }
    command&& stderr_pipe() && { return std::move(stderr_pipe()); }
    command&& stdin_null() && { return std::move(stdin_null()); }
    command&& stdout_null() && { return std::move(stdout_null()); }
    command&& stderr_null() && { return std::move(stderr_null()); }
    command&& stdin_from(int descriptor) && { return std::move(stdin_from(descriptor)); }
    command&& stdout_to(int descriptor) && { return std::move(stdout_to(descriptor)); }
    command&& stderr_to(int descriptor) && { return std::move(stderr_to(descriptor)); }
    command&& stdin_file(std::string path) && { return std::move(stdin_file(std::move(path))); }
    command&& stdout_file(std::string path) && { return std::move(stdout_file(std::move(path))); }
    command&& stderr_file(std::string path) && { return std::move(stderr_file(std::move(path))); }
    command&& stdout_append(std::string path) && { return std::move(stdout_append(std::move(path))); }
    command&& stderr_append(std::string path) && { return std::move(stderr_append(std::move(path))); }
    command&& stderr_to_stdout() && { return std::move(stderr_to_stdout()); }
    command&& terminal(terminal_size size = {}) && { return std::move(terminal(size)); }
    command&& directory(std::string path) && { return std::move(directory(std::move(path))); }
    command&& env(std::string name, std::string value) && { return std::move(env(std::move(name), std::move(value))); }
    command&& unset_env(std::string name) && { return std::move(unset_env(std::move(name))); }
    command&& clear_env() && { return std::move(clear_env()); }
    command&& inherit(int descriptor) && { return std::move(inherit(descriptor)); }
    command&& new_process_group() && { return std::move(new_process_group()); }
    command&& new_session() && { return std::move(new_session()); }

    [[nodiscard]] const std::string& program() const noexcept { return parts_.argv.front(); }
    /// For messages: "grep -c 'two words'".
    [[nodiscard]] std::string to_string() const;
    [[nodiscard]] const detail::command_parts& parts() const noexcept { return parts_; } // for the library

private:
    using kind = detail::redirection::kind;
    command& redirect(int stream, kind to, int descriptor = -1, std::string path = {});
    detail::command_parts parts_;
};

} // namespace eddy
