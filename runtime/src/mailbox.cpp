#include <eddy/detail/mailbox.hpp>

#include <fcntl.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/eventfd.h>
#endif

#include <cerrno>
#include <cstdint>
#include <system_error>

namespace eddy::detail {
namespace {

void closed_mark(remote_node&) {}
remote_node closed_node(&closed_mark);

remote_node* reversed(remote_node* n) noexcept {
    remote_node* out = nullptr;
    while (n) {
        remote_node* const next = n->next;
        n->next = out;
        out = n;
        n = next;
    }
    return out;
}

} // namespace

mailbox::mailbox() {
#ifdef __linux__
    read_fd_ = write_fd_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (read_fd_ < 0) throw std::system_error(errno, std::generic_category(), "eddy: cannot create a loop's wake-up descriptor");
#else
    int ends[2];
    if (::pipe(ends) != 0) throw std::system_error(errno, std::generic_category(), "eddy: cannot create a loop's wake-up pipe");
    for (const int fd : ends) {
        ::fcntl(fd, F_SETFD, FD_CLOEXEC);
        ::fcntl(fd, F_SETFL, O_NONBLOCK);
    }
    read_fd_ = ends[0];
    write_fd_ = ends[1];
#endif
}

mailbox::~mailbox() {
    ::close(read_fd_);
    if (write_fd_ != read_fd_) ::close(write_fd_);
}

bool mailbox::post(remote_node& n) noexcept {
    remote_node* head = head_.load(std::memory_order_acquire); // who finds it closed sees all that the loop did before
    do {
        if (head == &closed_node) return false;
        n.next = head;
    } while (!head_.compare_exchange_weak(head, &n, std::memory_order_seq_cst, std::memory_order_acquire));
    if (sleeping_.load(std::memory_order_seq_cst) && sleeping_.exchange(false)) wake();
    return true;
}

void mailbox::wake() noexcept {
    const std::uint64_t one = 1;
    const int saved = errno; // signal handlers come here
    [[maybe_unused]] const auto n = ::write(write_fd_, &one, sizeof one); // a full counter wakes as well
    errno = saved;
}

remote_node* mailbox::take_all() noexcept {
    if (empty()) return nullptr;
    return reversed(head_.exchange(nullptr, std::memory_order_acquire));
}

bool mailbox::prepare_sleep() noexcept {
    sleeping_.store(true, std::memory_order_seq_cst);
    if (head_.load(std::memory_order_seq_cst) == nullptr) return true;
    awake();
    return false;
}

remote_node* mailbox::close() noexcept {
    remote_node* const rest = head_.exchange(&closed_node, std::memory_order_acq_rel);
    return rest == &closed_node ? nullptr : reversed(rest);
}

} // namespace eddy::detail
