#include <eddy/http/form.hpp>

#include <algorithm>
#include <random>
#include <stdexcept>

#include <eddy/http/headers.hpp>
#include <eddy/http/static_files.hpp>

namespace eddy::http {
namespace {

constexpr std::string_view type_start = "multipart/form-data; boundary=";
constexpr std::string_view alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
constexpr std::size_t random_letters = 24; // 142 bits

[[nodiscard]] bool is_plain(char c) noexcept {
    return alphabet.find(c) != std::string_view::npos || std::string_view("*-._").find(c) != std::string_view::npos;
}

[[nodiscard]] std::string with_crlf(std::string_view text) {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '\r' && text[i] != '\n') {
            out += text[i];
            continue;
        }
        if (text[i] == '\r' && i + 1 < text.size() && text[i + 1] == '\n') ++i;
        out += "\r\n";
    }
    return out;
}

[[nodiscard]] std::string escaped(std::string_view name) {
    std::string out;
    for (const char c : name) {
        switch (c) {
            case '"': out += "%22"; break;
            case '\r': out += "%0D"; break;
            case '\n': out += "%0A"; break;
            default: out += c;
        }
    }
    return out;
}

/// The headers of a file.
[[nodiscard]] std::string head_of_file(std::string_view name, std::string_view file_name, std::string_view content_type) {
    if (!detail::is_field_value(content_type))
        throw std::invalid_argument("http::multipart: there is a line break or a NUL in the content type of a file");
    std::string head = "Content-Disposition: form-data; name=\"" + escaped(with_crlf(name));
    head.append("\"; filename=\"").append(escaped(file_name)).append("\"\r\n");
    return head.append("Content-Type: ").append(content_type.empty() ? "application/octet-stream" : content_type).append("\r\n");
}

} // namespace

std::string form_encode(std::string_view text) {
    constexpr std::string_view digits = "0123456789ABCDEF";
    std::string out;
    out.reserve(text.size());
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (is_plain(c))
            out += c;
        else if (c == ' ')
            out += '+';
        else
            out.append({'%', digits[byte / 16], digits[byte % 16]});
    }
    return out;
}

form& form::field(std::string_view name, std::string_view value) {
    std::string one = text_.empty() ? "" : "&";
    one.append(form_encode(name)).append("=").append(form_encode(value));
    text_ += one;
    return *this;
}

// --- multipart

multipart::multipart() {
    choose_boundary();
}

std::string_view multipart::boundary() const noexcept {
    return std::string_view(content_type_).substr(type_start.size());
}

void multipart::choose_boundary() {
    std::random_device source;
    std::uniform_int_distribution<std::size_t> letter(0, alphabet.size() - 1);
    std::string type(type_start);
    type += "----eddy";
    for (std::size_t i = 0; i < random_letters; ++i) type += alphabet[letter(source)];
    content_type_ = std::move(type);
}

multipart::part& multipart::add(std::string head, std::string_view content) {
    parts_.emplace_back(std::move(head), content);
    const auto holds_boundary = [this](const part& p) {
        return p.head.find(boundary()) != std::string::npos || p.content.find(boundary()) != std::string::npos;
    };
    if (holds_boundary(parts_.back())) {
        do choose_boundary();
        while (std::any_of(parts_.begin(), parts_.end(), holds_boundary));
    }
    return parts_.back();
}

multipart& multipart::field(std::string_view name, std::string_view value) {
    add("Content-Disposition: form-data; name=\"" + escaped(with_crlf(name)) + "\"\r\n", with_crlf(value));
    return *this;
}

multipart& multipart::file(std::string_view name, std::string_view file_name, std::string_view content_type, std::string_view bytes) {
    add(head_of_file(name, file_name, content_type), bytes);
    return *this;
}

multipart& multipart::file(std::string_view name, std::string_view file_name, std::string_view content_type,
                           std::span<const std::byte> bytes) {
    return file(name, file_name, content_type, std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
}

multipart& multipart::file(std::string_view name, std::string path, multipart_file options) {
    if (path.empty()) throw std::invalid_argument("http::multipart: the file of '" + std::string(name) + "' has no path");
    const std::string_view whole = path;
    const std::string_view file_name = options.file_name.empty() ? whole.substr(whole.rfind('/') + 1) : options.file_name;
    std::string head = head_of_file(name, file_name, options.content_type.empty() ? media_type(file_name) : options.content_type);
    add(std::move(head), {}).path = std::move(path);
    return *this;
}

multipart& multipart::stream(std::string_view name, std::string_view file_name, std::string_view content_type,
                             async_generator<std::string> source, std::optional<std::uint64_t> size) {
    if (!source) throw std::invalid_argument("http::multipart: the generator of '" + std::string(name) + "' is empty");
    part& p = add(head_of_file(name, file_name, content_type), {});
    p.source = std::move(source);
    p.size = size;
    return *this;
}

std::string multipart::body() const {
    std::string all;
    for (const part& p : parts_) {
        if (p.streamed()) throw std::logic_error("http::multipart: a part of it is read while it is sent; use client::upload");
        all.append("--").append(boundary()).append("\r\n").append(p.head).append("\r\n");
        all.append(p.content).append("\r\n");
    }
    return all.append("--").append(boundary()).append("--\r\n");
}

} // namespace eddy::http
