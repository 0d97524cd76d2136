#include "sqlite_file.hpp"

#include <sqlite3.h>

#include <eddy/jobs/error.hpp>

namespace eddy::jobs::detail {

namespace {

constexpr const char* sqlite_schema = R"(
CREATE TABLE IF NOT EXISTS eddy_messages (
  position INTEGER PRIMARY KEY AUTOINCREMENT, tag TEXT NOT NULL UNIQUE, queue TEXT NOT NULL, priority INTEGER NOT NULL,
  payload TEXT NOT NULL, claimed REAL, dead TEXT);
CREATE INDEX IF NOT EXISTS eddy_messages_order ON eddy_messages (queue, priority, position) WHERE claimed IS NULL AND dead IS NULL;
CREATE INDEX IF NOT EXISTS eddy_messages_claimed ON eddy_messages (claimed) WHERE claimed IS NOT NULL;
CREATE TABLE IF NOT EXISTS eddy_put_off (position INTEGER PRIMARY KEY, until REAL NOT NULL);
CREATE INDEX IF NOT EXISTS eddy_put_off_until ON eddy_put_off (until);
CREATE TABLE IF NOT EXISTS eddy_results (id TEXT PRIMARY KEY, body TEXT NOT NULL, until REAL NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS eddy_results_until ON eddy_results (until);
CREATE TABLE IF NOT EXISTS eddy_groups (id TEXT PRIMARY KEY, body TEXT, size INTEGER, until REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS eddy_chord_parts (id TEXT, place INTEGER, body TEXT, PRIMARY KEY (id, place)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS eddy_locks (name TEXT PRIMARY KEY, owner TEXT NOT NULL, until REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS eddy_control (number INTEGER PRIMARY KEY AUTOINCREMENT, inbox TEXT, body TEXT NOT NULL, until REAL NOT NULL);
)";

} // namespace

sqlite_statement::~sqlite_statement() {
    sqlite3_reset(statement_);
    sqlite3_clear_bindings(statement_);
}
sqlite_statement& sqlite_statement::bind(std::string_view text) {
    sqlite3_bind_text64(statement_, ++bound_, text.data(), text.size(), SQLITE_TRANSIENT, SQLITE_UTF8);
    return *this;
}
sqlite_statement& sqlite_statement::bind(std::int64_t n) {
    sqlite3_bind_int64(statement_, ++bound_, n);
    return *this;
}
sqlite_statement& sqlite_statement::bind(double n) {
    sqlite3_bind_double(statement_, ++bound_, n);
    return *this;
}
bool sqlite_statement::step() {
    const int result = sqlite3_step(statement_);
    if (result == SQLITE_ROW) return true;
    if (result == SQLITE_DONE) return false;
    throw error("jobs: the database " + *file_ + ": " + sqlite3_errmsg(sqlite3_db_handle(statement_)));
}
std::string sqlite_statement::text(int column) const {
    const auto* s = reinterpret_cast<const char*>(sqlite3_column_text(statement_, column));
    return s ? std::string(s, static_cast<std::size_t>(sqlite3_column_bytes(statement_, column))) : std::string();
}
std::int64_t sqlite_statement::integer(int column) const {
    return sqlite3_column_int64(statement_, column);
}

sqlite_file::sqlite_file(std::string file) : name_(std::move(file)) {
    const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    try {
        if (sqlite3_open_v2(name_.c_str(), &db_, flags, nullptr) != SQLITE_OK) fail("cannot be opened");
        sqlite3_busy_timeout(db_, 10'000);
        execute("PRAGMA journal_mode = WAL");
        execute("PRAGMA synchronous = NORMAL");
        execute(sqlite_schema);
    } catch (...) {
        sqlite3_close(db_);
        throw;
    }
}
sqlite_file::~sqlite_file() {
    for (const auto& [sql, statement] : prepared_) sqlite3_finalize(statement);
    sqlite3_close(db_);
}
void sqlite_file::fail(const char* what) const {
    throw error("jobs: the database " + name_ + " " + what + ": " + (db_ ? sqlite3_errmsg(db_) : "out of memory"));
}
void sqlite_file::execute(const char* sql) {
    if (sqlite3_exec(db_, sql, nullptr, nullptr, nullptr) != SQLITE_OK) fail("does not do what it is told");
}
sqlite_statement sqlite_file::prepare(const char* sql) {
    sqlite3_stmt*& s = prepared_[sql];
    if (!s && sqlite3_prepare_v2(db_, sql, -1, &s, nullptr) != SQLITE_OK) fail("does not understand a statement");
    return sqlite_statement(s, name_);
}
std::int64_t sqlite_file::changes() const {
    return sqlite3_changes(db_);
}
sqlite_file::transaction::~transaction() {
    if (open_) sqlite3_exec(file_.db_, "ROLLBACK", nullptr, nullptr, nullptr);
}
void sqlite_file::transaction::commit() {
    file_.execute("COMMIT");
    open_ = false;
}

} // namespace eddy::jobs::detail
