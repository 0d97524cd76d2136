#include <eddy/eddy.hpp>
#include <eddy/testing.hpp>

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "io/blocked_pool.hpp"
#include "io/support.hpp"
#include "lib/words.hpp"

using namespace eddy;
using namespace io_test;
using namespace std::chrono_literals;
using mode = file::mode;

namespace {

/// A file that several have open.
class lock_file {
public:
    lock_file() { ::close(::open(path().c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600)); }
    [[nodiscard]] std::string path() const { return folder_.file("lock"); }
    [[nodiscard]] task<file> open() const { return file::open(path(), mode::read_write); }

private:
    temporary_folder folder_;
};

/// Somebody who is not us: locks with plain system calls.
class stranger {
public:
    explicit stranger(const std::string& path) : fd_(::open(path.c_str(), O_RDWR | O_CLOEXEC)) {}
    stranger(const stranger&) = delete;
    stranger& operator=(const stranger&) = delete;
    ~stranger() { ::close(fd_); }
    [[nodiscard]] bool try_lock(int how) const { return ::flock(fd_, how | LOCK_NB) == 0; }
    void unlock() const { ::flock(fd_, LOCK_UN); }

private:
    int fd_;
};

task<> lock_and_note(file& f, lock_kind kind, std::string& log, std::string name) {
    const file_lock held = co_await f.lock(kind);
    log += name + " ";
}

} // namespace

EDDY_TEST("an exclusive lock keeps everybody else out until it is given back") {
    const lock_file l;
    file a = co_await l.open();
    file b = co_await l.open();
    const stranger s(l.path());
    std::string log;
    file_lock held = co_await a.lock();
    CHECK(held.owns_lock());
    CHECK_FALSE(s.try_lock(LOCK_SH));
    auto waiting = spawn(lock_and_note(b, lock_kind::exclusive, log, "b"));
    co_await sleep_for(1h);
    CHECK(log == "");
    held.unlock();
    held.unlock(); // twice does no harm
    CHECK_FALSE(held.owns_lock());
    co_await waiting;
    CHECK(log == "b ");
    CHECK(s.try_lock(LOCK_EX)); // b's went with its object
    co_await a.close();
    co_await b.close();
}

EDDY_TEST("shared locks go together, and with an exclusive one they do not") {
    const lock_file l;
    file a = co_await l.open();
    file b = co_await l.open();
    file c = co_await l.open();
    std::string log;
    file_lock first = co_await a.lock(lock_kind::shared);
    file_lock second = co_await b.lock(lock_kind::shared);
    auto waiting = spawn(lock_and_note(c, lock_kind::exclusive, log, "c"));
    co_await sleep_for(1s);
    first.unlock();
    co_await sleep_for(1s);
    CHECK(log == "");
    second.unlock();
    co_await waiting;
    CHECK(log == "c ");
    co_await a.close();
    co_await b.close();
    co_await c.close();
}

EDDY_TEST("try_lock does not wait") {
    const lock_file l;
    file a = co_await l.open();
    const stranger s(l.path());
    CHECK(s.try_lock(LOCK_SH));
    std::optional<file_lock> exclusive = co_await a.try_lock();
    CHECK_FALSE(exclusive.has_value());
    std::optional<file_lock> shared = co_await a.try_lock(lock_kind::shared);
    CHECK(shared.has_value());
    s.unlock();
    CHECK_FALSE(s.try_lock(LOCK_EX));
    shared.reset();
    CHECK(s.try_lock(LOCK_EX));
    co_await a.close();
}

EDDY_TEST("R4 cancelled while it waits, a lock is not taken, then or later") {
    const lock_file l;
    file a = co_await l.open();
    const stranger s(l.path());
    CHECK(s.try_lock(LOCK_EX));
    std::string log;
    auto waiting = spawn(lock_and_note(a, lock_kind::exclusive, log, "a"));
    co_await sleep_for(1s);
    co_await waiting.cancel_and_join();
    s.unlock();
    CHECK(s.try_lock(LOCK_EX));
    s.unlock();
    co_await lock_and_note(a, lock_kind::exclusive, log, "again"); // and the object is free for another
    CHECK(log == "again ");
    co_await a.close();
}

EDDY_TEST("R6 a lock that does not come in time is the timeout's error") {
    const lock_file l;
    file a = co_await l.open();
    const stranger s(l.path());
    CHECK(s.try_lock(LOCK_EX));
    std::string log;
    const auto start = loop_clock::now();
    const auto body = [&](cancel_scope&) { return lock_and_note(a, lock_kind::exclusive, log, "a"); };
    outcome<> end = co_await as_result(with_timeout(5s, body));
    CHECK(words::holds<timeout_error>(end.exception()));
    CHECK((loop_clock::now() - start == 5s));
    co_await a.close();
}

EDDY_TEST("one lock for each file object: a second is refused, and the first is unharmed") {
    const lock_file l;
    file a = co_await l.open();
    const stranger s(l.path());
    file_lock held = co_await a.lock();
    const std::string sentence = "'" + l.path() + "' is locked, or is being locked, through this file object; open it once more for another lock";
    std::string end = co_await words::ending(a.lock(lock_kind::shared));
    CHECK(end == sentence);
    end = co_await words::ending(a.try_lock());
    CHECK(end == sentence);
    CHECK_FALSE(s.try_lock(LOCK_SH));
    file_lock moved = std::move(held);
    held.unlock(); // has none any more
    CHECK_FALSE(s.try_lock(LOCK_SH));
    moved = file_lock();
    CHECK(s.try_lock(LOCK_SH));
    co_await a.close();
}

EDDY_TEST("closing the file gives the lock back, and its object knows") {
    const lock_file l;
    file a = co_await l.open();
    const stranger s(l.path());
    file_lock held = co_await a.lock();
    co_await a.close();
    CHECK_FALSE(held.owns_lock());
    CHECK(s.try_lock(LOCK_EX));
    held.unlock();
}

EDDY_TEST("a lock keeps a file whose object has gone open") {
    const lock_file l;
    const stranger s(l.path());
    std::optional<file> a(co_await l.open());
    const int fd = a->native_handle();
    file_lock held = co_await a->lock();
    a.reset();
    CHECK(descriptor_is_open(fd));
    CHECK_FALSE(s.try_lock(LOCK_EX));
    held = file_lock();
    CHECK_FALSE(descriptor_is_open(fd));
    CHECK(s.try_lock(LOCK_EX));
}

EDDY_TEST("R13 a file that is closed while somebody waits for its lock tells them") {
    const lock_file l;
    file a = co_await l.open();
    const stranger s(l.path());
    CHECK(s.try_lock(LOCK_EX));
    auto waiting = spawn(words::ending(a.lock()));
    co_await sleep_for(1s);
    co_await a.close();
    std::string end = co_await std::move(waiting);
    CHECK(end == "the file '" + l.path() + "' was closed by another task");
}

EDDY_TEST("many who wait for a lock leave the pool to others, and all get it") {
    const lock_file l;
    file a = co_await l.open();
    file_lock held = co_await a.lock();
    std::string log;
    std::vector<file> files;
    for (int i = 0; i < 40; ++i) files.push_back(co_await l.open()); // more than the pool has workers
    std::vector<task_handle<>> waiting;
    for (file& f : files) waiting.push_back(spawn(lock_and_note(f, lock_kind::exclusive, log, "x")));
    co_await sleep_for(1min);
    std::string text = co_await read_file(l.path()); // not behind them
    CHECK(text == "");
    CHECK(log == "");
    held.unlock();
    for (task_handle<>& h : waiting) co_await h.join();
    CHECK(log.size() == 80);
    for (file& f : files) co_await f.close();
    co_await a.close();
}

EDDY_TEST("a lock on what cannot be locked is an error that says the path") {
    std::string end = co_await words::ending(file().lock());
    CHECK(end == "this file is not open");
}
