#include <eddy/detail/descriptor_passing.hpp>

#include <unistd.h>

#include <cstring>
#include <stdexcept>
#include <string>

#include "descriptor_message.hpp"

namespace eddy {

descriptor_list::~descriptor_list() {
    for (const int fd : owned_) {
        if (fd >= 0) ::close(fd);
    }
}

namespace detail {
namespace {

static_assert(sizeof(control_room) >= CMSG_SPACE(most_descriptors * sizeof(int)));

/// The descriptors in a control message, each handed to `f`.
template <class F>
void for_each_descriptor(msghdr& m, F f) {
    for (cmsghdr* c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
        const std::size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (std::size_t i = 0; i < n; ++i) {
            int fd = -1;
            std::memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
            f(fd);
        }
    }
}

} // namespace

bool send_descriptors_operation::try_now() const {
    if (!core_->is_open()) throw_closed("send descriptors to");
    if (bytes_.empty()) throw std::invalid_argument("send_descriptors: descriptors travel with bytes; send at least one");
    if (descriptors_.size() > most_descriptors)
        throw std::invalid_argument("send_descriptors: at most " + std::to_string(most_descriptors) + " descriptors go at once");
    return false;
}

bool send_descriptors_operation::drive() {
    if (refused()) return true;
    do {
        const std::span<const std::byte> rest = bytes_.subspan(written_);
        part_ = {const_cast<std::byte*>(rest.data()), rest.size()}; // only read from
        message_ = msghdr{};
        message_.msg_iov = &part_;
        message_.msg_iovlen = 1;
        if (written_ == 0 && !descriptors_.empty()) put_descriptors(message_, room_.bytes, descriptors_);
        buffer = &message_;
        if (!submit()) return false;
    } while (!advance());
    return true;
}

bool send_descriptors_operation::advance() noexcept {
    return note_written(written_, bytes_.size());
}

bool receive_descriptors_operation::start() {
    part_ = {out_.data(), out_.size()};
    message_ = msghdr{};
    message_.msg_iov = &part_;
    message_.msg_iovlen = 1;
    message_.msg_control = room_.bytes.data();
    message_.msg_controllen = sizeof room_.bytes;
    buffer = &message_;
    return incoming_operation::start();
}

received_descriptors receive_descriptors_operation::take() {
    check("read from");
    std::vector<int> fds;
    if (message_.msg_controllen > 0) {
        try {
            fds.reserve(most_descriptors);
        } catch (...) {
            for_each_descriptor(message_, [](int fd) { ::close(fd); });
            throw;
        }
        for_each_descriptor(message_, [&](int fd) { fds.push_back(fd); });
    }
    return {static_cast<std::size_t>(result), descriptor_list(std::move(fds)), (message_.msg_flags & MSG_CTRUNC) != 0};
}

} // namespace detail
} // namespace eddy
