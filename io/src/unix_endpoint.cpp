#include <eddy/unix_endpoint.hpp>

#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <stdexcept>

namespace eddy {
namespace {

static_assert(sizeof(sockaddr_un) <= unix_endpoint::capacity());
constexpr std::size_t start_of_name = offsetof(sockaddr_un, sun_path);
constexpr std::size_t longest = sizeof(sockaddr_un::sun_path) - 1; // a path ends with '\0', an abstract name begins with it

} // namespace

unix_endpoint::unix_endpoint() noexcept : size_(start_of_name) {
    data()->sa_family = AF_UNIX;
}

unix_endpoint::unix_endpoint(std::string_view path) : unix_endpoint() {
    if (path.empty()) throw std::invalid_argument("the path of a Unix-domain socket must not be empty");
    const bool abstract = path.front() == '@' || path.front() == '\0';
    std::string shown(path);
    if (abstract) shown.front() = '@';
    const std::size_t length = abstract ? path.size() - 1 : path.size();
    if (length > longest)
        throw std::invalid_argument("'" + shown + "' is too long for a Unix-domain socket: " + std::to_string(length) + " bytes, at most " +
                                    std::to_string(longest) + " are possible; a relative path may be shorter");
    if (!abstract && path.find('\0') != std::string_view::npos)
        throw std::invalid_argument("the path of a Unix-domain socket must not contain '\\0', except in front, for an abstract name");
    std::copy(path.begin(), path.end(), storage_.begin() + start_of_name);
    if (abstract) storage_[start_of_name] = '\0';
    size_ = start_of_name + path.size() + (abstract ? 0 : 1);
}

void unix_endpoint::resize(std::size_t n) noexcept {
    size_ = std::clamp(n, start_of_name, capacity());
}

std::string_view unix_endpoint::name() const noexcept {
    const std::string_view all(storage_.data() + start_of_name, size_ - start_of_name);
    return all.empty() || all.front() == '\0' ? all : all.substr(0, all.find('\0'));
}

bool unix_endpoint::empty() const noexcept {
    return name().empty();
}

bool unix_endpoint::is_abstract() const noexcept {
    return !empty() && name().front() == '\0';
}

std::string unix_endpoint::path() const {
    std::string text(name());
    if (is_abstract()) text.front() = '@';
    return text;
}

std::string unix_endpoint::to_string() const {
    return empty() ? "a socket without a name" : path();
}

} // namespace eddy
