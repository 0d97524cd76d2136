// Bodies of forms: urlencoded, for names and values; multipart, for files as well.
//
//     http::form f;
//     f.field("user", "ada").field("q", "a & b");
//     co_await hc.post(url, f.body(), {.content_type = f.content_type()});      // user=ada&q=a+%26+b
//
//     http::multipart m;
//     m.field("title", "holiday").file("photo", "a.png", "image/png", bytes);
//     co_await hc.post(url, m.body(), {.content_type = m.content_type()});
//
//     http::multipart big;
//     big.field("title", "holiday").file("film", "/home/ada/film.mp4");       // read while it is sent
//     co_await hc.upload("POST", url, std::move(big));
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <eddy/async_generator.hpp>

namespace eddy::http {

namespace detail {
class multipart_source;
}

/// The text as it is written in a form or a query: a space becomes "+", everything but letters, digits and `*-._` becomes %XX.
/// `decode_query` is the way back.
[[nodiscard]] std::string form_encode(std::string_view text);

/// application/x-www-form-urlencoded, as WHATWG's URL standard writes it. Also what follows the "?" of an URL.
class form {
public:
    form() = default;
    /// Appends a field, also if there is one of that name.
    form& field(std::string_view name, std::string_view value);

    [[nodiscard]] const std::string& body() const noexcept { return text_; }
    [[nodiscard]] std::string_view content_type() const noexcept { return "application/x-www-form-urlencoded"; }

private:
    std::string text_;
};

/// What a file on the disk is called in a form.
struct multipart_file {
    std::string_view file_name = {};    // default: the last part of its path
    std::string_view content_type = {}; // default: by the ending of the file name, as `media_type` knows it
};

/// multipart/form-data as browsers send it (WHATWG's HTML standard). In names and file names, quotes and line breaks are written
/// %22, %0D and %0A, so that none of them can end a header; a lone CR or LF in names and values of fields becomes CR LF. A
/// file's bytes are sent as they are. The boundary is random, and occurs in no part that is in memory; for those that are read
/// while they are sent, 142 random bits have to do. Move-only.
class multipart {
public:
    multipart();
    /// Appends a field, also if there is one of that name.
    multipart& field(std::string_view name, std::string_view value);
    /// Appends a file; no content type: application/octet-stream. Throws `std::invalid_argument` for a content type with a line
    /// break or a NUL in it, as the others below.
    multipart& file(std::string_view name, std::string_view file_name, std::string_view content_type, std::string_view bytes);
    multipart& file(std::string_view name, std::string_view file_name, std::string_view content_type, std::span<const std::byte> bytes);

    /// Appends a file on the disk. Only its path is kept here: `client::upload` opens it, and reads it piece by piece. Throws
    /// `std::invalid_argument` for an empty path.
    multipart& file(std::string_view name, std::string path, multipart_file options = {});
    /// Appends a file that `source` yields while it is sent. `size`: how many bytes that will be, if it is known. Throws
    /// `std::invalid_argument` for an empty generator.
    multipart& stream(std::string_view name, std::string_view file_name, std::string_view content_type,
                      async_generator<std::string> source, std::optional<std::uint64_t> size = {});

    /// All parts, put together by each call. Throws `std::logic_error` if one of them is read while it is sent: `client::upload`
    /// sends those.
    [[nodiscard]] std::string body() const;
    /// With the boundary. It may be another one after a part was added; refers to this object.
    [[nodiscard]] std::string_view content_type() const noexcept { return content_type_; }
    [[nodiscard]] std::string_view boundary() const noexcept;

private:
    friend class detail::multipart_source;
    class part {
    public:
        part(std::string h, std::string_view c) : head(std::move(h)), content(c) {}
        [[nodiscard]] bool streamed() const noexcept { return source || !path.empty(); }
        std::string head; // its headers
        std::string content;
        std::string path;                    // of a file on the disk
        async_generator<std::string> source; // of one that is yielded
        std::optional<std::uint64_t> size;   // of that
    };
    part& add(std::string head, std::string_view content);
    void choose_boundary();
    std::vector<part> parts_;
    std::string content_type_;
};

} // namespace eddy::http
