// TLS against OpenSSL's own client and server.
#if __has_include(<eddy/tls.hpp>)

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include <eddy/eddy.hpp>
#include <eddy/testing.hpp>
#include <eddy/tls.hpp>

#include "interop/certificate.hpp"
#include "lib/left_out.hpp"

using namespace std::chrono_literals;
using namespace eddy;
using interop::certificate;

namespace {

/// `openssl …` with its standard input and output in our hands.
class openssl_program {
public:
    explicit openssl_program(std::vector<std::string> arguments) {
        std::array<int, 2> in{};
        std::array<int, 2> out{};
        if (::pipe2(in.data(), O_CLOEXEC) != 0 || ::pipe2(out.data(), O_CLOEXEC) != 0) return;
        input_ = in[1];
        output_ = out[0];
        arguments.insert(arguments.begin(), "openssl");
        std::vector<char*> argv;
        for (std::string& a : arguments) argv.push_back(a.data());
        argv.push_back(nullptr);
        posix_spawn_file_actions_t actions;
        ::posix_spawn_file_actions_init(&actions);
        ::posix_spawn_file_actions_adddup2(&actions, in[0], 0);
        ::posix_spawn_file_actions_adddup2(&actions, out[1], 1);
        ::posix_spawn_file_actions_adddup2(&actions, out[1], 2); // some of its words go there
        if (::posix_spawnp(&pid_, "openssl", &actions, nullptr, argv.data(), environ) != 0) pid_ = -1;
        ::posix_spawn_file_actions_destroy(&actions);
        ::close(in[0]);
        ::close(out[1]);
    }
    ~openssl_program() {
        if (input_ >= 0) ::close(input_);
        if (output_ >= 0) ::close(output_);
        if (pid_ < 0) return;
        ::kill(pid_, SIGKILL);
        ::waitpid(pid_, nullptr, 0);
    }
    openssl_program(const openssl_program&) = delete;
    openssl_program& operator=(const openssl_program&) = delete;

    void say(const std::string& text) const { static_cast<void>(!::write(input_, text.data(), text.size())); }
    /// Reads until `text` has come, and the rest of its line; false at the end.
    task<bool> hear(std::string text) {
        for (;;) {
            const std::size_t at = said.find(text);
            if (at != std::string::npos && said.find('\n', at) != std::string::npos) co_return true;
            co_await wait_readable(output_);
            std::array<char, 4096> part{};
            const ssize_t n = ::read(output_, part.data(), part.size());
            if (n <= 0) co_return false;
            said.append(part.data(), static_cast<std::size_t>(n));
        }
    }
    std::string said;

private:
    pid_t pid_ = -1;
    int input_ = -1;
    int output_ = -1;
};

/// The port of a server, once it says "ACCEPT [::]:PORT".
task<std::uint16_t> port_of(openssl_program& server) {
    const bool ready = co_await server.hear("ACCEPT ");
    if (!ready) co_return 0;
    const std::size_t end = server.said.find('\n', server.said.find("ACCEPT "));
    const std::size_t colon = server.said.rfind(':', end);
    co_return static_cast<std::uint16_t>(std::stoi(server.said.substr(colon + 1, end - colon - 1)));
}

task<std::string> page_from(std::uint16_t port, tls_context context) {
    tls_stream t = co_await tls_connect("localhost", port, context);
    co_await t.write("GET / HTTP/1.0\r\n\r\n");
    buffered_reader r{t};
    std::string page = co_await r.read_to_end();
    co_await t.close();
    co_return t.tls_info().version + (t.tls_info().resumed ? " resumed " : " ") + page;
}

/// Sends every line back.
task<> echo_lines(tcp_stream s, tls_context context, std::string& ending) {
    try {
        tls_stream t = co_await tls_accept(std::move(s), context);
        buffered_reader r{t};
        auto lines = r.lines();
        while (const auto line = co_await lines.next()) {
            const std::string answer = "echo: " + *line;
            co_await t.write(answer);
        }
        ending = "the end";
        co_await t.close();
    } catch (const tls_error& e) {
        ending = e.what();
    }
}

} // namespace

EDDY_TEST_REAL("interop: tls_connect to openssl s_server, TLS 1.2 and 1.3, with resumption") {
    const certificate c;
    if (!c) {
        tests::left_out("there is no openssl: TLS is not tested against it");
        co_return;
    }
    for (const char* version : {"-tls1_2", "-tls1_3"}) {
        openssl_program server({"s_server", "-accept", "0", "-www", "-cert", c.file(), "-key", c.key(), version});
        const std::uint16_t port = co_await port_of(server);
        REQUIRE(port != 0);
        tls_context trusting = tls_context::client(tls_trust::nobody);
        trusting.trust_file(c.file());
        const std::string name = version == std::string("-tls1_2") ? "TLSv1.2 " : "TLSv1.3 ";
        const std::string page = co_await page_from(port, trusting);
        CHECK(page.starts_with(name + "HTTP/1.0 200 ok"));
        const std::string again = co_await page_from(port, trusting);
        CHECK(again.starts_with(name + "resumed HTTP/1.0 200 ok"));
        std::string refusal;
        try {
            static_cast<void>(co_await page_from(port, tls_context::client(tls_trust::nobody)));
        } catch (const tls_error& e) {
            refusal = e.what();
        }
        CHECK(refusal == "TLS handshake with localhost:" + std::to_string(port) + ": certificate verify failed: self-signed certificate");
    }
}

EDDY_TEST_REAL("interop: openssl s_client to tls_accept, TLS 1.2 and 1.3") {
    const certificate c;
    if (!c) co_return;
    tcp_listener l = tcp_listener::bind({"127.0.0.1", 0});
    const std::string target = "127.0.0.1:" + std::to_string(l.local_endpoint().port());
    const tls_context context = tls_context::server(c.file(), c.key());
    for (const char* version : {"-tls1_2", "-tls1_3"}) {
        openssl_program client({"s_client", "-connect", target, "-servername", "localhost", "-CAfile", c.file(), "-verify_return_error", version});
        std::string ending;
        auto serving = spawn([](tcp_listener& from, const tls_context& tc, std::string& out) -> task<> {
            tcp_stream s = co_await from.accept();
            co_await echo_lines(std::move(s), tc, out);
        }, std::ref(l), std::cref(context), std::ref(ending));
        client.say("hello\n");
        const bool answered = co_await client.hear("echo: hello");
        CHECK(answered);
        client.say("Q\n"); // ends in order
        co_await serving;
        CHECK(ending == "the end");
    }
}

#endif
