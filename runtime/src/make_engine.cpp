#include "make_engine.hpp"

#include <cstdlib>
#include <stdexcept>
#include <string>
#include <string_view>

#include "asio_engine.hpp"

namespace eddy::detail {
namespace {

engine_kind from_environment() {
    const char* const e = std::getenv("EDDY_ENGINE");
    if (!e || !*e) return engine_kind::asio;
    const std::string_view name = e;
    if (name == "asio" || name == "automatic") return engine_kind::asio;
    throw std::invalid_argument("EDDY_ENGINE=" + std::string(name) + ": there is no such engine here; this build has: asio");
}

} // namespace

std::shared_ptr<engine> make_engine(engine_kind wanted, const std::shared_ptr<mailbox>& mail, engine_host& host, void* io_context) {
    if (wanted == engine_kind::automatic) wanted = io_context ? engine_kind::asio : from_environment();
    if (wanted == engine_kind::asio) return make_asio_engine(mail, host, io_context);
    throw std::invalid_argument("this engine is not available in this build; available: asio");
}

} // namespace eddy::detail
