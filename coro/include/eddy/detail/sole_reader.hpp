// One reader at a time, of what a read needs several steps for.
//
//     const sole_reader me(reading_, "this buffered_reader");     // until the end of the read
#pragma once

#include <string_view>

namespace eddy::detail {

/// Throws `busy_resource`: "another task is already reading from <what>".
[[noreturn]] void throw_already_reading(std::string_view what);

/// Sets the flag while it lives; the flag must outlive it. Throws `busy_resource` if it is set already, and leaves it to whom it belongs.
class sole_reader {
public:
    sole_reader(bool& reading, std::string_view what) : reading_(reading) {
        if (reading) throw_already_reading(what);
        reading = true;
    }
    sole_reader(const sole_reader&) = delete;
    sole_reader& operator=(const sole_reader&) = delete;
    ~sole_reader() { reading_ = false; }

private:
    bool& reading_;
};

} // namespace eddy::detail
