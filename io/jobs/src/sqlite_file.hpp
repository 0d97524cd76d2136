// A database file, for the blocking pool: one connection that one thread uses at a time, statements that are kept prepared.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>

struct sqlite3;
struct sqlite3_stmt;

namespace eddy::jobs::detail {

/// A prepared statement in use; reset at its end.
class sqlite_statement {
public:
    sqlite_statement(sqlite3_stmt* s, const std::string& file) noexcept : statement_(s), file_(&file) {}
    sqlite_statement(const sqlite_statement&) = delete;
    sqlite_statement& operator=(const sqlite_statement&) = delete;
    ~sqlite_statement();
    sqlite_statement& bind(std::string_view text);
    sqlite_statement& bind(std::int64_t n);
    sqlite_statement& bind(double n);
    /// Is there a row (another one)? Throws `error`.
    bool step();
    void run() {
        while (step()) {}
    }
    [[nodiscard]] std::string text(int column) const;
    [[nodiscard]] std::int64_t integer(int column) const;

private:
    sqlite3_stmt* statement_;
    const std::string* file_;
    int bound_ = 0;
};

class sqlite_file {
public:
    /// Opens it, or makes it. Throws `error` that names the file.
    explicit sqlite_file(std::string file);
    sqlite_file(const sqlite_file&) = delete;
    sqlite_file& operator=(const sqlite_file&) = delete;
    ~sqlite_file();

    /// `f(*this)` inside a transaction that is rolled back if it throws. Blocks.
    template <class F>
    auto transact(F&& f) {
        const std::lock_guard one_at_a_time(mutex_);
        transaction t(*this);
        if constexpr (std::is_void_v<decltype(f(*this))>) {
            f(*this);
            t.commit();
        } else {
            auto result = f(*this);
            t.commit();
            return result;
        }
    }
    /// Inside of `transact` only.
    [[nodiscard]] sqlite_statement prepare(const char* sql);
    [[nodiscard]] std::int64_t changes() const;

private:
    class transaction {
    public:
        explicit transaction(sqlite_file& f) : file_(f) { file_.execute("BEGIN IMMEDIATE"); }
        transaction(const transaction&) = delete;
        transaction& operator=(const transaction&) = delete;
        ~transaction();
        void commit();

    private:
        sqlite_file& file_;
        bool open_ = true;
    };
    void execute(const char* sql);
    [[noreturn]] void fail(const char* what) const;

    std::string name_;
    sqlite3* db_ = nullptr;
    std::mutex mutex_;
    std::map<const char*, sqlite3_stmt*> prepared_; // by the address of its text, which is a literal
};

} // namespace eddy::jobs::detail
