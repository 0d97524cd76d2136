// unix_endpoint: the name of a Unix-domain socket: a path, or a name of Linux's abstract namespace.
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <string_view>

struct sockaddr;

namespace eddy {

class unix_endpoint {
public:
    /// Empty: what a socket has that was given no name.
    unix_endpoint() noexcept;
    /// A path, or an abstract name: it begins with '@' or '\0', has no file, and goes when its last socket does. "./@x" is a file
    /// called "@x". Throws `std::invalid_argument` if it is empty, contains '\0' elsewhere in a path, or is longer than 107 bytes.
    explicit unix_endpoint(std::string_view path);

    [[nodiscard]] bool empty() const noexcept;
    [[nodiscard]] bool is_abstract() const noexcept;
    /// The path; an abstract name begins with '@'; empty.
    [[nodiscard]] std::string path() const;
    /// The same, for people: "a socket without a name".
    [[nodiscard]] std::string to_string() const;
    [[nodiscard]] friend bool operator==(const unix_endpoint& a, const unix_endpoint& b) noexcept { return a.name() == b.name(); }

    // For system calls.
    [[nodiscard]] sockaddr* data() noexcept { return reinterpret_cast<sockaddr*>(storage_.data()); }
    [[nodiscard]] const sockaddr* data() const noexcept { return reinterpret_cast<const sockaddr*>(storage_.data()); }
    [[nodiscard]] std::size_t size() const noexcept { return size_; }
    [[nodiscard]] static constexpr std::size_t capacity() noexcept { return 110; } // of a sockaddr_un
    void resize(std::size_t n) noexcept;

private:
    [[nodiscard]] std::string_view name() const noexcept; // as it is in the sockaddr, less the '\0' at a path's end
    alignas(8) std::array<char, 112> storage_{};
    std::size_t size_;
};

} // namespace eddy
