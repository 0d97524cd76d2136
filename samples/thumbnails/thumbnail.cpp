#include "thumbnail.hpp"

#include <eddy/errors.hpp>
#include <eddy/jobs/error.hpp>
#include <eddy/process_pool.hpp>
#include <eddy/progress.hpp>
#include <eddy/remote_exception.hpp>
#include <eddy/retry.hpp>
#include <eddy/timeout.hpp>

#include "files.hpp"
#include "picture.hpp"

namespace thumbnails {

std::uint64_t make_thumbnail(std::stop_token stop, const std::string& from, const std::string& to, std::uint32_t width) {
    const auto go_on = [&] {
        if (stop.stop_requested()) throw eddy::operation_cancelled();
    };
    go_on();
    const picture full = read_png(read_file(from));
    go_on();
    const picture small = shrink(full, width, [&](std::uint32_t done, std::uint32_t rows) {
        go_on();
        if (done % 16 == 0 || done == rows) eddy::report_progress(done, rows);
    });
    const std::vector<unsigned char> file = write_png(small);
    go_on();
    replace_file(to, file);
    return std::uint64_t{full.width} * full.height;
}

// What the scale `processes` needs to know: the function's name, and what it throws.
EDDY_REMOTE(make_thumbnail)
const eddy::remote_exception<bad_picture> bad_picture_crosses;

bool worth_another_attempt(const std::exception_ptr& error) {
    try {
        std::rethrow_exception(error);
    } catch (const bad_picture&) {
        return false;
    } catch (const eddy::jobs::task_failed& e) { // a job's exceptions have a name and words, and no type
        return e.type() != "bad_picture";
    } catch (...) {
        return eddy::worth_a_retry(error);
    }
}

std::string describe(const std::exception_ptr& error) {
    try {
        std::rethrow_exception(error);
    } catch (const eddy::jobs::task_failed& e) {
        const eddy::jobs::json& said = e.arguments();
        return said.is_array() && !said.empty() && said[0].is_string() ? said[0].get<std::string>() : e.what();
    } catch (const eddy::worker_died& e) {
        return "its process died: " + e.status().to_string();
    } catch (const eddy::timeout_error&) {
        return "takes too long";
    } catch (const std::exception& e) {
        return e.what();
    } catch (...) {
        return "something went wrong";
    }
}

} // namespace thumbnails
