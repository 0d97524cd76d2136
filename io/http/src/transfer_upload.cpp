// A transfer whose body is produced while it is sent.
#include <stdexcept>
#include <utility>

#include "client_core.hpp"
#include "transfer.hpp"

namespace eddy::http::detail {

void transfer::upload_body(std::optional<std::uint64_t> size) {
    outgoing_.emplace(size);
}

task<> transfer::send_all(async_generator<std::string>& source) {
    try {
        co_await send_pieces(source);
    } catch (const operation_cancelled&) {
        abandon(); // also if the source has cancelled itself
        throw;
    } catch (...) {
        source_error_ = std::current_exception();
        core_->remove(*this);
        if (!done.is_set()) end(source_error_);
    }
}

/// The source's error, unless it is the one that the request ends with.
void transfer::report_source(bool cancelled) const {
    if (!source_error_ || (!cancelled && source_error_ == exception_)) return;
    const std::string text = "the source of the upload to " + spec_.url + " failed";
    this_loop().call_exception_handler({.message = text, .exception = source_error_});
}

// An answer may come while the source is still at work. For libcurl a transfer that pauses is not over, even if the server
// does not want the rest, or has closed the connection behind its answer: so it is woken when something of the answer has
// come, and pauses again if it is not.
task<> transfer::wait_for_answer() {
    co_await outgoing_->answered.wait();
    const early_answer_mark mark(*core_);
    wake_upload();
    co_await done.wait();
}

void transfer::wake_upload() {
    if (slot != not_active && outgoing_ && outgoing_->answered.is_set() && outgoing_->resume()) core_->resume(*this);
}

task<> transfer::send_pieces(async_generator<std::string>& source) {
    const std::optional<std::uint64_t> size = outgoing_->size();
    const auto wrong_size = [&](const char* how) {
        return std::length_error("upload to " + spec_.url + ": the source gave " + how + " than the " + std::to_string(*size) +
                                 " bytes that were announced");
    };
    std::uint64_t given = 0;
    while (std::optional<std::string> piece = co_await source.next()) {
        given += piece->size();
        if (size && given > *size) throw wrong_size("more");
        co_await send_piece(std::move(*piece));
        if (done.is_set()) co_return;
    }
    if (done.is_set()) co_return;
    if (size && given < *size) throw wrong_size("less");
    outgoing_->end();
    if (slot != not_active && outgoing_->resume()) core_->resume(*this);
}

task<> transfer::send_piece(std::string piece) {
    outgoing_->give(std::move(piece));
    outgoing_->taken.clear();
    if (!outgoing_->empty() && slot != not_active && outgoing_->resume()) core_->resume(*this);
    if (done.is_set() || outgoing_->empty()) outgoing_->taken.set(); // a checkpoint all the same
    co_await outgoing_->taken.wait();
}

} // namespace eddy::http::detail
