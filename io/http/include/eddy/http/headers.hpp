// header_list: the header fields of an HTTP message, in order, with names compared without regard to case.
//
//     http::header_list h;
//     h.set("Content-Type", "text/html");
//     h.get("content-type");                       // "text/html"; an empty string if there is none
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace eddy::http {

/// One field. Not an aggregate: see docs/compilers.md, T1.
class header {
public:
    header() = default;
    header(std::string field_name, std::string field_value) : name(std::move(field_name)), value(std::move(field_value)) {}
    std::string name;
    std::string value;
};

class header_list {
public:
    header_list() = default;

    /// Appends a field, also if there is one of that name. Throws `std::invalid_argument` for a name that is not a token
    /// and for a value with a line break or a NUL in it, so that no data of a peer can become a header of its own.
    void add(std::string_view name, std::string_view value);
    /// Replaces every field of that name by one. Throws as `add` does.
    void set(std::string_view name, std::string_view value);
    /// Removes every field of that name; how many there were.
    std::size_t erase(std::string_view name) noexcept;
    void clear() noexcept { fields_.clear(); }

    /// The value of the first field of that name; a reference to an empty string if there is none.
    [[nodiscard]] const std::string& get(std::string_view name) const noexcept;
    /// The values of all fields of that name, in order.
    [[nodiscard]] std::vector<std::string_view> get_all(std::string_view name) const;
    [[nodiscard]] bool contains(std::string_view name) const noexcept;
    /// Is `token` a member of the comma-separated list in the fields of that name? For Connection and the like.
    [[nodiscard]] bool has_token(std::string_view name, std::string_view token) const noexcept;

    [[nodiscard]] std::size_t size() const noexcept { return fields_.size(); }
    [[nodiscard]] bool empty() const noexcept { return fields_.empty(); }
    [[nodiscard]] auto begin() const noexcept { return fields_.begin(); }
    [[nodiscard]] auto end() const noexcept { return fields_.end(); }

private:
    std::vector<header> fields_;
};

namespace detail {
/// Equal in ASCII, upper or lower case.
[[nodiscard]] bool equal_names(std::string_view a, std::string_view b) noexcept;
/// Is it a token in the sense of RFC 9110: a header name, a method?
[[nodiscard]] bool is_token(std::string_view s) noexcept;
/// Is it free of line breaks and NUL?
[[nodiscard]] bool is_field_value(std::string_view s) noexcept;
/// Without the spaces and tabs around it.
[[nodiscard]] std::string_view trim(std::string_view s) noexcept;
} // namespace detail

} // namespace eddy::http
