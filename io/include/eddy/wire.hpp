// wire: values as bytes and back, between processes that run the same program.
//
//     std::vector<std::byte> bytes = wire::encode(std::pair(1, std::string("one")));
//     auto v = wire::decode<std::pair<int, std::string>>(bytes);
//
// It is what a `process_pool` sends arguments and results with. Both ends are one binary on one machine, so numbers and plain
// structs travel as they lie in memory, without names or versions: no format for files or networks. What is built in: bool,
// numbers, enums, trivially copyable classes (which must hold no pointers: nobody can check that), strings, containers with
// `insert` at the end, std::array, pair, tuple, optional, variant, unique_ptr, std::error_code, paths. Other classes have one of
//
//     struct person { std::string name; int age; };
//     auto wire_fields(person& p) { return std::tie(p.name, p.age); }       // beside the class: its fields, in order
//
//     template <> struct eddy::wire::codec<matrix> {                        // or all by hand
//         static void write(wire::writer& out, const matrix& m);
//         static matrix read(wire::reader& in);
//     };
//
// Reading checks every bound before it takes or allocates anything: bytes that are none of ours give `malformed`.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace eddy::wire {

/// The bytes are not what a value of the type is written as. It says what was expected, and how many bytes there were.
class malformed : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

/// Specialise it for a type of your own: `static void write(writer&, const T&)` and `static T read(reader&)`.
template <class T>
struct codec;

/// Appends to a vector, which stays the caller's.
class writer {
public:
    explicit writer(std::vector<std::byte>& out) noexcept : out_(&out) {}
    /// As they are, without their number.
    void bytes(std::span<const std::byte> b);
    /// How many follow. Whoever reads checks it against the bytes that are there, so each must take one at least.
    void count(std::size_t n) {
        const auto wide = static_cast<std::uint64_t>(n);
        bytes(std::as_bytes(std::span(&wide, 1)));
    }
    template <class T>
    void write(const T& value);
    /// So far.
    [[nodiscard]] std::size_t size() const noexcept { return out_->size(); }

private:
    std::vector<std::byte>* out_;
};

/// Takes from bytes, which must outlive it. All throw `malformed` and take nothing they then do not return.
class reader {
public:
    explicit reader(std::span<const std::byte> in) noexcept : in_(in) {}
    [[nodiscard]] std::span<const std::byte> bytes(std::size_t n, const char* what = "bytes");
    /// At most as many as bytes are left.
    [[nodiscard]] std::size_t count(const char* what = "elements");
    template <class T>
    [[nodiscard]] T read();
    [[nodiscard]] std::size_t left() const noexcept { return in_.size(); }
    /// Throws if bytes are left.
    void expect_end() const;

    /// While one lives, what is read lies one level deeper. More than 200 are refused, before the stack ends.
    class level {
    public:
        explicit level(reader& r);
        level(const level&) = delete;
        level& operator=(const level&) = delete;
        ~level() { --reader_->depth_; }

    private:
        reader* reader_;
    };

private:
    std::span<const std::byte> in_;
    int depth_ = 0;
};

/// A value as bytes.
template <class T>
[[nodiscard]] std::vector<std::byte> encode(const T& value) {
    std::vector<std::byte> out;
    writer(out).write(value);
    return out;
}
/// And back. Throws `malformed`, also for bytes that are left over.
template <class T>
[[nodiscard]] T decode(std::span<const std::byte> bytes) {
    reader in(bytes);
    T value = in.read<T>();
    in.expect_end();
    return value;
}

} // namespace eddy::wire

#include <eddy/detail/wire_types.hpp> // --- implementation
