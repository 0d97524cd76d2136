#include "make_engine.hpp"

#include <cstdlib>
#include <stdexcept>
#include <string>
#include <string_view>

#include "asio_engine.hpp"
#include "native_engine.hpp"

namespace eddy::detail {
namespace {

std::string available() {
    return native_engine_available() ? "asio, native" : "asio";
}

engine_kind best() noexcept {
    return native_engine_available() ? engine_kind::native : engine_kind::asio;
}

engine_kind from_environment() {
    const char* const e = std::getenv("EDDY_ENGINE");
    if (!e || !*e) return best();
    const std::string_view name = e;
    if (name == "automatic") return best();
    if (name == "asio") return engine_kind::asio;
    if (name == "native" && native_engine_available()) return engine_kind::native;
    throw std::invalid_argument("EDDY_ENGINE=" + std::string(name) + ": there is no such engine here; this build has: " + available());
}

} // namespace

std::shared_ptr<engine> make_engine(engine_kind wanted, const std::shared_ptr<mailbox>& mail, engine_host& host, void* io_context) {
    if (wanted == engine_kind::automatic) wanted = io_context ? engine_kind::asio : from_environment();
    if (wanted == engine_kind::asio) return make_asio_engine(mail, host, io_context);
    if (io_context) throw std::invalid_argument("a loop that runs in an io_context of others has engine_kind::asio");
    if (wanted == engine_kind::native && native_engine_available()) return make_native_engine(mail, host);
    throw std::invalid_argument("this engine is not available in this build; available: " + available());
}

} // namespace eddy::detail
