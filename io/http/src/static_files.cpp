#include <eddy/http/static_files.hpp>

#include <eddy/event_loop.hpp>
#include <eddy/http/body_writer.hpp>
#include <eddy/offload.hpp>
#include <eddy/this_task.hpp>

#include <algorithm>
#include <array>
#include <ctime>
#include <stdexcept>
#include <utility>

#include <eddy/http/byte_range.hpp>
#include "file_folder.hpp"
#include "preconditions.hpp"
#include "response_writer.hpp"

namespace eddy::http {
namespace {

class known_type {
public:
    std::string_view ending;
    std::string_view type;
};

// Of the IANA registry, what a folder for browsers has in it.
constexpr std::array<known_type, 38> known_types{{
    {"aac", "audio/aac"},
    {"avif", "image/avif"},
    {"bmp", "image/bmp"},
    {"css", "text/css; charset=utf-8"},
    {"csv", "text/csv; charset=utf-8"},
    {"gif", "image/gif"},
    {"gz", "application/gzip"},
    {"htm", "text/html; charset=utf-8"},
    {"html", "text/html; charset=utf-8"},
    {"ico", "image/vnd.microsoft.icon"},
    {"jpeg", "image/jpeg"},
    {"jpg", "image/jpeg"},
    {"js", "text/javascript; charset=utf-8"},
    {"json", "application/json"},
    {"jsonld", "application/ld+json"},
    {"md", "text/markdown; charset=utf-8"},
    {"mjs", "text/javascript; charset=utf-8"},
    {"mp3", "audio/mpeg"},
    {"mp4", "video/mp4"},
    {"oga", "audio/ogg"},
    {"ogg", "audio/ogg"},
    {"ogv", "video/ogg"},
    {"opus", "audio/ogg"},
    {"otf", "font/otf"},
    {"pdf", "application/pdf"},
    {"png", "image/png"},
    {"svg", "image/svg+xml"},
    {"tar", "application/x-tar"},
    {"ttf", "font/ttf"},
    {"txt", "text/plain; charset=utf-8"},
    {"wasm", "application/wasm"},
    {"wav", "audio/wav"},
    {"webm", "video/webm"},
    {"webmanifest", "application/manifest+json"},
    {"webp", "image/webp"},
    {"woff", "font/woff"},
    {"woff2", "font/woff2"},
    {"xml", "text/xml; charset=utf-8"},
}};

[[nodiscard]] std::string path_of(const request& q) {
    if (!q.path_parameters.empty()) return q.path_parameters.back().value;
    const std::string path = decode_path(q.path());
    return path.substr(path.starts_with('/') ? 1 : 0);
}

/// To the same path with a "/" at its end, as relative as can be: so it cannot lead to another server.
[[nodiscard]] response to_folder(const request& q) {
    const std::string_view path = q.path();
    std::string location = "./" + std::string(path.substr(path.rfind('/') + 1)) + "/";
    if (!q.query().empty()) location.append("?").append(q.query());
    return detail::error_response(301, {}).set("Location", location);
}

[[nodiscard]] std::string content_range(const byte_range& r, std::uint64_t size) {
    return "bytes " + std::to_string(r.first) + "-" + std::to_string(r.first + r.size - 1) + "/" + std::to_string(size);
}

[[nodiscard]] response body_of(std::shared_ptr<file> f, std::string_view type, int status, byte_range part) {
    return response::stream(status, type, [f = std::move(f), part](body_writer& out) -> task<> {
               co_await out.send_file(*f, part.first, part.size);
           })
        .content_length(part.size);
}

/// The answer to a request for a file that is there.
[[nodiscard]] response answer(const request& q, detail::found_file found, std::string_view type) {
    const detail::validators now{found.tag, found.modified};
    const int status = detail::check_preconditions(q.headers, now);
    if (status == 304) return response(304);
    if (status == 412) return detail::error_response(412, {});
    std::optional<byte_range> part;
    if (q.method == "GET" && detail::if_range_holds(q.headers, now))
        part = parse_range(q.headers.get("Range"), found.size);
    if (part && part->size == 0)
        return detail::error_response(416, {}).set("Content-Range", "bytes */" + std::to_string(found.size));
    const auto open = std::make_shared<file>(std::move(found.open));
    if (!part) return body_of(open, type, 200, {0, found.size});
    return body_of(open, type, 206, *part).set("Content-Range", content_range(*part, found.size));
}

} // namespace

std::string_view media_type(std::string_view file_name) noexcept {
    const std::string_view name = file_name.substr(file_name.rfind('/') + 1);
    const std::size_t dot = name.rfind('.');
    if (dot != std::string_view::npos) {
        for (const known_type& k : known_types) {
            if (detail::equal_names(k.ending, name.substr(dot + 1))) return k.type;
        }
    }
    return "application/octet-stream";
}

static_files::static_files(std::string folder, const static_files_options& options) {
    if (folder.empty()) throw std::invalid_argument("http::static_files: the folder has no name");
    auto made = std::make_shared<detail::file_folder>();
    made->root = std::move(folder);
    made->index = options.index;
    if (options.max_age.count() >= 0) made->cache_control = "max-age=" + std::to_string(options.max_age.count());
    made->hidden = options.hidden;
    folder_ = std::move(made);
}

task<response> static_files::operator()(request q) const {
    const std::shared_ptr<const detail::file_folder> folder = folder_;
    if (q.method != "GET" && q.method != "HEAD") co_return detail::error_response(405, {}).set("Allow", "GET, HEAD");
    std::string path = path_of(q);
    if (!folder->may_serve(path)) co_return detail::error_response(404, {});
    const bool is_folder = q.path().ends_with('/');
    if (is_folder) path += folder->index;
    worker_pool& pool = this_loop().blocking_pool();
    detail::found_file found = co_await offload(pool, &detail::find_file, folder, path);
    if (found.what == detail::found_file::kind::folder && !is_folder && !folder->index.empty()) co_return to_folder(q);
    if (found.what != detail::found_file::kind::file) co_return detail::error_response(404, {});

    const std::string tag = found.tag;
    const std::string modified = detail::http_date(std::min(found.modified, std::time(nullptr)));
    response r = answer(q, std::move(found), media_type(path));
    if (r.status >= 400) co_return r;
    r.set("ETag", tag).set("Last-Modified", modified).set("Accept-Ranges", "bytes");
    if (!folder->cache_control.empty()) r.set("Cache-Control", folder->cache_control);
    co_return r;
}

} // namespace eddy::http
