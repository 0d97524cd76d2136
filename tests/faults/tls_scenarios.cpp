#include "faults/scenarios.hpp"

#if __has_include(<eddy/tls.hpp>)

#include <array>
#include <string>

#include "faults/fault.hpp"
#include "tls/support.hpp"

namespace faults {
namespace {

// The keys are made before: OpenSSL's own files are its own affair.
eddy::task<> encrypted(std::string) {
    const eddy::tls_context client = tls_tests::client_context();
    const eddy::tls_context server = tls_tests::server_context();
    const fault::armed here;
    auto c = co_await tls_tests::over_tcp(client, server);
    co_await c.client.write("from the client");
    std::string got = co_await tls_tests::read_text(c.server, 15);
    expect(got, "from the client");
    co_await c.server.write("from the server");
    co_await c.server.shutdown_write();
    got = co_await tls_tests::read_all(c.client);
    expect(got, "from the server");
    co_await c.client.close();
    co_await c.server.close();
}

constexpr std::array tls_list{scenario{"encrypted", &encrypted}};

} // namespace

std::span<const scenario> tls_scenarios() noexcept {
    return tls_list;
}

} // namespace faults

#else

namespace faults {
std::span<const scenario> tls_scenarios() noexcept {
    return {};
}
} // namespace faults

#endif
