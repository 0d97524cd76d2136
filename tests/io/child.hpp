// Child processes for tests of what ends, limits or signals a whole process: the test program starts itself again with one
// of its hidden test cases (those tagged [.child]). A child's case ends the process itself, by leave().
#pragma once

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <utility>

namespace io_test {

/// How a process ended: "exit 130", "signal 2".
[[nodiscard]] inline std::string ending_text(int status) {
    if (WIFEXITED(status)) return "exit " + std::to_string(WEXITSTATUS(status));
    if (WIFSIGNALED(status)) return "signal " + std::to_string(WTERMSIG(status));
    return "status " + std::to_string(status);
}

class child {
public:
    /// Runs the hidden case of this name. `argument` reaches it as EDDY_CHILD_ARGUMENT.
    explicit child(const std::string& test_case, const std::string& argument = {}) {
        std::array<int, 2> out{};
        if (::pipe2(out.data(), O_CLOEXEC) != 0) throw std::runtime_error("no pipe for a child process");
        pid_ = ::fork();
        if (pid_ < 0) throw std::runtime_error("no child process");
        if (pid_ == 0) {
            ::dup2(out[1], STDOUT_FILENO);
            ::dup2(out[1], STDERR_FILENO);
            ::setenv("EDDY_CHILD_ARGUMENT", argument.c_str(), 1);
            ::alarm(120); // a child that hangs does not outlive its test by much
            ::execl("/proc/self/exe", "child", test_case.c_str(), static_cast<char*>(nullptr));
            ::_exit(127);
        }
        ::close(out[1]);
        out_ = out[0];
    }
    child(child&& o) noexcept : pid_(std::exchange(o.pid_, -1)), out_(std::exchange(o.out_, -1)), rest_(std::move(o.rest_)) {}
    child& operator=(child&&) = delete;
    ~child() {
        if (pid_ > 0) {
            ::kill(pid_, SIGKILL);
            ::waitpid(pid_, nullptr, 0);
        }
        if (out_ >= 0) ::close(out_);
    }

    /// The next line that it prints; what there is at its end.
    [[nodiscard]] std::string line() {
        for (;;) {
            if (const std::size_t end = rest_.find('\n'); end != std::string::npos) {
                std::string text = rest_.substr(0, end);
                rest_.erase(0, end + 1);
                if (text.starts_with("Filters: ") || text.starts_with("Randomness seeded to: ")) continue; // Catch2's own
                return text;
            }
            if (!more()) return std::exchange(rest_, {});
        }
    }
    /// Reads on until a line is `text` or its output ends; true if the line came.
    [[nodiscard]] bool prints(const std::string& text) {
        for (;;) {
            const std::string got = line();
            if (got == text) return true;
            if (got.empty() && out_ < 0) return false;
        }
    }
    void signal(int number) const { ::kill(pid_, number); }
    /// Waits for its end; everything it printed since is in `output()`.
    [[nodiscard]] std::string wait() {
        while (more()) {}
        int status = 0;
        ::waitpid(std::exchange(pid_, -1), &status, 0);
        return ending_text(status);
    }
    [[nodiscard]] const std::string& output() const noexcept { return rest_; }

private:
    bool more() {
        if (out_ < 0) return false;
        std::array<char, 4096> buffer;
        const ssize_t n = ::read(out_, buffer.data(), buffer.size());
        if (n < 0 && errno == EINTR) return true;
        if (n <= 0) {
            ::close(std::exchange(out_, -1));
            return false;
        }
        rest_.append(buffer.data(), static_cast<std::size_t>(n));
        return true;
    }
    pid_t pid_ = -1;
    int out_ = -1;
    std::string rest_;
};

// --- in the child

[[nodiscard]] inline std::string child_argument() {
    const char* text = std::getenv("EDDY_CHILD_ARGUMENT");
    return text ? text : "";
}
inline void say(const std::string& text) {
    std::fputs((text + "\n").c_str(), stdout);
    std::fflush(stdout);
}
/// Ends the process without the test program's own summary.
[[noreturn]] inline void leave(int status) {
    std::fflush(stdout);
    std::_Exit(status);
}

} // namespace io_test
