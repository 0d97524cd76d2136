// Addresses as text: what is read and written again is the same.
#include <stdexcept>

#include <eddy/endpoint.hpp>
#include <eddy/unix_endpoint.hpp>

#include "fuzz/fuzz.hpp"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text = fuzz::text_of(data, size);
    try {
        const eddy::ip_endpoint e(text, 80);
        const eddy::ip_endpoint again(e.address(), e.port());
        fuzz::require_equal(e.to_string(), again.to_string(), "an address and what it is written as");
        fuzz::require(e.port() == 80, "the port is kept");
    } catch (const std::invalid_argument&) { // is none
    }
    try {
        const eddy::unix_endpoint e(text);
        const eddy::unix_endpoint again(e.path());
        fuzz::require_equal(e.path(), again.path(), "a path and what it is written as");
        const std::string shown = (text.front() == '\0' ? "@" : std::string(text.substr(0, 1))) + std::string(text.substr(1));
        fuzz::require_equal(e.path(), shown, "a path and what is kept of it");
    } catch (const std::invalid_argument&) { // cannot be one
    }
    return 0;
}
