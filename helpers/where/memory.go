package where

// A memory is the pages that were read from a guest's memory.
type memory struct{ pages map[uint64][]byte }

const pageSize = 4096

// at returns n bytes at an address, or as many as there are.
func (m *memory) at(addr uint64, n int) []byte {
	page, offset := addr&^(pageSize-1), addr&(pageSize-1)
	data := m.pages[page]
	if data == nil {
		return nil
	}
	data = data[offset:]
	if len(data) < n {
		if next := m.pages[page+pageSize]; next != nil {
			data = append(data[:len(data):len(data)], next...)
		}
	}
	return data[:min(n, len(data))]
}
