// A download into a file, from its options to its result.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include <eddy/http/client.hpp>

#include "transfer.hpp"

namespace eddy::http::detail {

/// Throws `std::invalid_argument` for headers that are the download's business.
[[nodiscard]] request_spec download_spec(std::string url, request_options options, const client_options& defaults);
task<download_result> run_download(std::shared_ptr<client_core> core, request_spec spec, std::string path, download_options options);

/// What is remembered of a part, in a file beside it: whether it may be continued.
class part_note {
public:
    part_note() = default;
    part_note(std::string_view url, const header_list& headers);
    [[nodiscard]] static part_note parse(std::string_view text);
    [[nodiscard]] std::string text() const;

    std::string url_hash;  // the address may hold secrets
    std::string validator; // for If-Range: a strong ETag, else Last-Modified if it is as good; empty: there is none
    std::optional<std::uint64_t> total;
};

} // namespace eddy::http::detail
