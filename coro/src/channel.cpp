#include <eddy/channel.hpp>

#include <string>

namespace eddy::detail {

void throw_empty_end(const char* what) {
    throw std::logic_error(std::string("this ") + what + " is empty (it was moved from)");
}
void throw_closed_end(const char* what) {
    throw closed_resource(std::string("channel ") + what + ": this end of the channel was closed");
}

} // namespace eddy::detail
